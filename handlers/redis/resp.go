package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// The limits of a command or reply. The largest reply that we ask for is a list of clients: 100,000 of them take 40 MB.
const (
	maxReply   = 64 << 20 // bytes
	maxHeader  = 64 << 10 // bytes of a line
	maxDepth   = 8        // of nested arrays
	perElement = 64       // bytes of memory that an element of an array takes, whatever it is
)

// errBadReply is returned for bytes that no Redis would send. Then another program listens at the address, so Redis is
// unreachable.
var errBadReply = errors.New("the reply is not one of redis to this command")

// encodeCommand is a command in RESP, Redis's protocol.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
func encodeCommand(command []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(command))
	for _, arg := range command {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return out.String()
}

// readSimpleReply reads a reply of one line. It returns the text of an error reply as an error.
func readSimpleReply(replies *bufio.Reader) error {
	line, err := replies.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = errors.New(strings.TrimSpace(line[1:]))
	}
	return err
}

// limitedConn is a connection whose replies are checked before the client reads them. An address comes from Consul, so any
// program may listen there. Its replies could otherwise make the client allocate any amount of memory, or panic.
type limitedConn struct {
	net.Conn
	requests, replies respReader
	commands          atomic.Int64 // sent so far
}

// NetConn is the underlying connection, as with a tls.Conn.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

// Write counts the commands that are sent. It returns errBadReply for bytes that are no command.
func (c *limitedConn) Write(p []byte) (int, error) {
	if err := c.requests.consume(p); err != nil {
		return 0, err
	}
	c.commands.Store(c.requests.complete)
	return c.Conn.Write(p)
}

// Read returns errBadReply for bytes that are no reply, and for more replies than commands.
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

// respReader follows a stream of commands or replies in RESP2 and counts the complete ones.
type respReader struct {
	line     []byte // of a header that is not complete
	pending  int    // bytes of a string that are still to come, with its end of line
	arrays   []int  // elements that each open array still needs, the innermost last
	size     int    // bytes of memory that the current value takes
	complete int64  // values so far
}

// consume reads the next bytes of the stream. It returns errBadReply if they are no RESP2, or exceed a limit.
func (r *respReader) consume(b []byte) error {
	for len(b) > 0 {
		if r.pending > 0 {
			b = r.consumeString(b)
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		complete := end > 0
		if !complete {
			end = len(b)
		}
		r.line, b = append(r.line, b[:end]...), b[end:]
		if len(r.line) > maxHeader {
			return errBadReply
		}
		if !complete {
			return nil
		}
		if err := r.readHeader(); err != nil {
			return err
		}
	}
	return nil
}

// consumeString reads bytes of a string, and returns those after it.
func (r *respReader) consumeString(b []byte) []byte {
	n := min(r.pending, len(b))
	r.pending -= n
	if r.pending == 0 {
		r.endValue()
	}
	return b[n:]
}

// readHeader reads the complete line.
func (r *respReader) readHeader() error {
	line := r.line
	r.line, r.size = r.line[:0], r.size+len(line)
	if len(line) < 3 || r.size > maxReply {
		return errBadReply
	}
	kind := line[0]
	if kind == '+' || kind == '-' {
		r.endValue()
		return nil
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil {
		return errBadReply
	}
	switch kind {
	case ':':
		r.endValue()
		return nil
	case '$':
		return r.startString(n)
	case '*':
		return r.startArray(n)
	}
	return errBadReply // RESP3, which we do not speak
}

// startString begins a string of n bytes; -1 is null.
func (r *respReader) startString(n int) error {
	if n == -1 {
		r.endValue()
		return nil
	}
	if n < 0 || n > maxReply-r.size {
		return errBadReply
	}
	r.pending, r.size = n+len("\r\n"), r.size+n
	return nil
}

// startArray begins an array of n elements; -1 is null.
func (r *respReader) startArray(n int) error {
	if n == -1 || n == 0 {
		r.endValue()
		return nil
	}
	if n < 0 || n > (maxReply-r.size)/perElement || len(r.arrays) == maxDepth {
		return errBadReply
	}
	r.arrays, r.size = append(r.arrays, n), r.size+n*perElement
	return nil
}

// endValue counts a value, and the arrays that it completes.
func (r *respReader) endValue() {
	for len(r.arrays) > 0 {
		last := len(r.arrays) - 1
		r.arrays[last]--
		if r.arrays[last] > 0 {
			return
		}
		r.arrays = r.arrays[:last]
	}
	r.size = 0
	r.complete++
}
