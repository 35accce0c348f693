package redis

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// connect connects, and lets the server know who is there: for what is written by hand.
func (o Options) connect(ctx context.Context) (net.Conn, error) {
	conn, err := o.dial(ctx, &net.Dialer{Timeout: o.Timeout})
	if err != nil {
		return nil, fmt.Errorf("dial redis %s: %w", o.Addr, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(o.Timeout))
	in := bufio.NewReader(conn)
	for _, cmd := range o.handshake() {
		if _, err = io.WriteString(conn, encode(cmd)); err == nil {
			err = answered(in)
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s on redis %s: %w", cmd[0], o.Addr, o.redact(err))
		}
	}
	return conn, nil
}

// handshake is what a connection begins with that is written to by hand.
func (o Options) handshake() (cmds [][]string) {
	if l := o.login(); l != (Login{}) {
		cmds = append(cmds, []string{"AUTH", cmp.Or(l.Username, "default"), l.Password})
	}
	return append(cmds, []string{"CLIENT", "SETNAME", cmp.Or(o.Name, "resec")})
}

// encode writes a command as RESP has it.
func encode(cmd []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(cmd))
	for _, a := range cmd {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(a), a)
	}
	return out.String()
}

// answered reads an answer of one line.
func answered(in *bufio.Reader) error {
	line, err := in.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = errors.New(strings.TrimSpace(line[1:]))
	}
	return err
}
