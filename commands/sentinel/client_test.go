package sentinel

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"resec/commands/expect"
)

// client is a connection that shows what it is sent.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := tryDial(t, addr)
	expect.OK(t, err)
	return c
}

func tryDial(t *testing.T, addr string) (*client, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	expect.OK(t, conn.SetDeadline(time.Now().Add(expect.Patience)))
	return &client{t, conn, bufio.NewReader(conn)}, nil
}

// send sends requests: words that are separated by blanks.
func (c *client) send(requests ...string) {
	c.t.Helper()
	for _, request := range requests {
		args := strings.Fields(request)
		out := header(nil, '*', len(args))
		for _, a := range args {
			out = text(a).append(out, false)
		}
		_, err := c.conn.Write(out)
		expect.OK(c.t, err)
	}
}

// ask sends a request and returns the next value as text; see value.
func (c *client) ask(request string) string {
	c.t.Helper()
	c.send(request)
	return c.next()
}

func (c *client) next() string {
	c.t.Helper()
	v, err := c.value(false)
	expect.OK(c.t, err)
	return v
}

// ended reports whether the server has closed the connection.
func (c *client) ended() bool {
	_, err := c.in.ReadByte()
	return err == io.EOF || err != nil && strings.Contains(err.Error(), "reset by peer")
}

// value reads a value and returns it as text: its kind and its content; for bulk strings only the kind if shape is wanted.
func (c *client) value(shape bool) (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+', '-', ':', '_', ',', '#':
		if shape && kind == ':' {
			rest = ""
		}
		return string(kind) + rest, nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return "", fmt.Errorf("%q: %w", line, err)
	}
	if n < 0 {
		return string(kind) + "null", nil
	}
	if kind == '$' || kind == '=' {
		data := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, data); err != nil {
			return "", err
		}
		if shape {
			return string(kind), nil
		}
		return string(data[:n]), nil
	}
	return c.values(kind, n, shape)
}

// values reads the elements of an array, a map or a push. Of a map, and of a record of fields, the names are shown.
func (c *client) values(kind byte, n int, shape bool) (string, error) {
	all := []string{}
	if kind == '%' {
		n *= 2
	}
	fields := n > 8 && kind == '*' // no other array of the protocol is as long
	for i := range n {
		v, err := c.value(shape && !((kind == '%' || fields) && i%2 == 0))
		if err != nil {
			return "", err
		}
		all = append(all, v)
	}
	return string(kind) + "[" + strings.Join(all, " ") + "]", nil
}
