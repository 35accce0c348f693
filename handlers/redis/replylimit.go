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

// errBadReply is of a reply that no Redis would give us: whoever says that is none, so ours, if it is there at all, is silent.
var errBadReply = errors.New("what it says is no reply of a redis to what was asked")

// limitedConn is a connection to what may be no Redis at all: an address is from Consul. Whoever listens there could otherwise make us
// allocate whatever length he names, or panic over a negative one, or over a reply to nothing.
type limitedConn struct {
	net.Conn
	requests, replies respReader
	commands          atomic.Int64 // that were sent
}

// NetConn is the connection below, as of a tls.Conn.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

func (c *limitedConn) Write(p []byte) (int, error) {
	if err := c.requests.consume(p); err != nil {
		return 0, err
	}
	c.commands.Store(c.requests.complete)
	return c.Conn.Write(p)
}

func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bad := c.replies.consume(p[:n]); bad != nil {
		return 0, bad
	}
	if c.replies.complete > c.commands.Load() {
		return 0, errBadReply
	}
	return n, err
}

// respReader is how much of a command or reply has passed, and what is still to come of it; the next one begins where it ends. Source:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type respReader struct {
	line     []byte // of the header that is not whole yet
	pending  int    // bytes of a string, with its end of line
	arrays   []int  // elements that each array still wants, the innermost last
	size     int    // bytes that it takes of us
	complete int64  // how many were before
}

// consume follows what b is the next part of, and fails where that is not to be read.
func (f *respReader) consume(b []byte) error {
	for len(b) > 0 {
		if f.pending > 0 {
			n := min(f.pending, len(b))
			if b, f.pending = b[n:], f.pending-n; f.pending == 0 {
				f.endValue()
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
			return errBadReply
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
func (f *respReader) header() error {
	line := f.line
	f.line, f.size = f.line[:0], f.size+len(line)
	if len(line) < 3 || f.size > maxReply {
		return errBadReply
	}
	switch line[0] {
	case '$', '*':
	case '+', '-':
		f.endValue()
		return nil
	case ':':
	default: // RESP3, which we do not speak
		return errBadReply
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	switch {
	case err != nil || n < -1 && line[0] != ':':
		return errBadReply
	case line[0] == ':' || n == -1 || line[0] == '*' && n == 0:
		f.endValue()
	case line[0] == '$' && n <= maxReply-f.size:
		f.pending, f.size = n+2, f.size+n
	case line[0] == '*' && n <= (maxReply-f.size)/perElement && len(f.arrays) < maxDepth:
		f.arrays, f.size = append(f.arrays, n), f.size+n*perElement
	default:
		return errBadReply
	}
	return nil
}

// endValue counts what is whole.
func (f *respReader) endValue() {
	for len(f.arrays) > 0 {
		last := len(f.arrays) - 1
		if f.arrays[last]--; f.arrays[last] > 0 {
			return
		}
		f.arrays = f.arrays[:last]
	}
	f.size = 0
	f.complete++
}
