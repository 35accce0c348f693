package redis

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// dial connects, with TLS if it is configured. The dialer's timeout bounds the TLS handshake too.
func (o Options) dial(ctx context.Context, d *net.Dialer) (conn net.Conn, err error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	if conn, err = resolved.dialTCP(ctx, d, o.Addr); err == nil && o.TLS != nil {
		conn, err = o.handshakeTLS(ctx, conn)
	}
	if err != nil {
		return nil, namingLimit(err)
	}
	return &limitedConn{Conn: conn}, nil
}

// handshakeTLS makes a connection one by TLS. It closes the connection if that fails.
func (o Options) handshakeTLS(ctx context.Context, conn net.Conn) (net.Conn, error) {
	config := o.TLS()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(o.Addr)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// connect dials, authenticates and names the connection, for a connection that rueidis does not manage. Dial and handshake
// take at most the timeout each, and no longer than the context.
func (o Options) connect(ctx context.Context) (net.Conn, error) {
	conn, err := o.dial(ctx, &net.Dialer{Timeout: o.Timeout})
	if err != nil {
		return nil, fmt.Errorf("dial redis %s: %w", o.Addr, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(o.Timeout))
	replies := bufio.NewReader(conn)
	for _, command := range o.handshake() {
		if _, err = io.WriteString(conn, encodeCommand(command)); err == nil {
			err = readSimpleReply(replies)
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s on redis %s: %w", command[0], o.Addr, o.redact(err))
		}
	}
	return conn, nil
}

// explainTimeout bounds how long explain waits for a server's first words.
const explainTimeout = 50 * time.Millisecond

// explain returns errProtected or errMaxClients instead of err if the server says that, and hangs up, before it reads. What a
// client has sent by then makes the system drop the reply. So explain connects once more, and sends nothing.
func (o Options) explain(ctx context.Context, err error) error {
	if o.TLS != nil {
		return err
	}
	conn, dialErr := o.dial(ctx, &net.Dialer{Timeout: explainTimeout})
	if dialErr != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(explainTimeout))
	words, _ := io.ReadAll(io.LimitReader(conn, firstWords))
	return cmp.Or(refusalOf(strings.TrimPrefix(string(words), "-")), err)
}

// refusalOf returns errProtected or errMaxClients if a server's first words say that; nil: they say something else, or nothing.
func refusalOf(words string) error {
	switch words = strings.TrimPrefix(words, "ERR "); {
	case strings.HasPrefix(words, "DENIED"):
		return errProtected
	case strings.HasPrefix(words, "max number of clients"):
		return errMaxClients
	}
	return nil
}

// firstWords is what is read of a server's first words: the longest prefix that refusalOf knows, and less than the line, because
// limitedConn takes no reply without a command.
const firstWords = int64(len("-ERR max number of clients"))

// handshake are the first commands on a connection that rueidis does not manage.
func (o Options) handshake() (commands [][]string) {
	if l := o.login(); l != (Login{}) {
		commands = append(commands, []string{"AUTH", cmp.Or(l.Username, "default"), l.Password})
	}
	return append(commands, []string{"CLIENT", "SETNAME", cmp.Or(o.Name, "resec")})
}
