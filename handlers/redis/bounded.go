package redis

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
)

// What we ask for is never larger: of 100,000 clients a list is 40 MB.
const (
	maxReply   = 64 << 20 // bytes
	maxHeader  = 64 << 10 // bytes of a line
	maxDepth   = 8        // of arrays
	perElement = 64       // bytes that one of an array takes of us, whatever it is
)

// errUnbounded is of a reply that no Redis would give us: whoever says that is none, so ours, if it is there at all, is silent.
var errUnbounded = errors.New("what it says is no reply of a redis to what was asked")

// bounded is a connection to what may be no Redis at all: an address is from Consul. Whoever listens there could otherwise make us
// allocate whatever length he names, or panic over a negative one, or over a reply to nothing.
type bounded struct {
	net.Conn
	asked, said frame
	commands    atomic.Int64 // that were sent
}

// NetConn is the connection below, as of a tls.Conn.
func (c *bounded) NetConn() net.Conn { return c.Conn }

func (c *bounded) Write(p []byte) (int, error) {
	if err := c.asked.take(p); err != nil {
		return 0, err
	}
	c.commands.Store(c.asked.whole)
	return c.Conn.Write(p)
}

func (c *bounded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bad := c.said.take(p[:n]); bad != nil {
		return 0, bad
	}
	if c.said.whole > c.commands.Load() {
		return 0, errUnbounded
	}
	return n, err
}

// frame is how much of a command or reply has passed, and what is still to come of it; the next one begins where it ends. Source:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type frame struct {
	line  []byte // of the header that is not whole yet
	skip  int    // bytes of a string, with its end of line
	open  []int  // elements that each array still wants, the innermost last
	size  int    // bytes that it takes of us
	whole int64  // how many were before
}

// take follows what b is the next part of, and fails where that is not to be read.
func (f *frame) take(b []byte) error {
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			if b, f.skip = b[n:], f.skip-n; f.skip == 0 {
				f.ended()
			}
			continue
		}
		n := bytes.IndexByte(b, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(b)
		}
		f.line, b = append(f.line, b[:n]...), b[n:]
		if len(f.line) > maxHeader {
			return errUnbounded
		}
		if whole {
			if err := f.header(); err != nil {
				return err
			}
		}
	}
	return nil
}

// header takes the line that is whole now.
func (f *frame) header() error {
	line := f.line
	f.line, f.size = f.line[:0], f.size+len(line)
	if len(line) < 3 || f.size > maxReply {
		return errUnbounded
	}
	switch line[0] {
	case '$', '*':
	case '+', '-':
		f.ended()
		return nil
	case ':':
	default: // RESP3, which we do not speak
		return errUnbounded
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	switch {
	case err != nil || n < -1 && line[0] != ':':
		return errUnbounded
	case line[0] == ':' || n == -1 || line[0] == '*' && n == 0:
		f.ended()
	case line[0] == '$' && n <= maxReply-f.size:
		f.skip, f.size = n+2, f.size+n
	case line[0] == '*' && n <= (maxReply-f.size)/perElement && len(f.open) < maxDepth:
		f.open, f.size = append(f.open, n), f.size+n*perElement
	default:
		return errUnbounded
	}
	return nil
}

// ended counts what is whole.
func (f *frame) ended() {
	for len(f.open) > 0 {
		last := len(f.open) - 1
		if f.open[last]--; f.open[last] > 0 {
			return
		}
		f.open = f.open[:last]
	}
	f.size = 0
	f.whole++
}
