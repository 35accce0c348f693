package sentinel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The limits of a request. The longest that a client of Sentinel sends are a subscription to some twenty channels, and AUTH.
const (
	maxArgs    = 64
	maxRequest = 16 << 10 // bytes of the strings of an array
	maxLine    = 1 << 10  // bytes of a header, and of an inline request
)

// errProtocol is what a client is answered, with the fault, before its connection is closed: after it nothing can be read.
var errProtocol = errors.New("ERR Protocol error")

// requestReader reads requests: arrays of strings, or a line of words as people and health checks type it. It never takes more
// memory than maxRequest and some headers, whatever is sent.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
type requestReader struct{ in *bufio.Reader }

func newRequestReader(in io.Reader) *requestReader {
	return &requestReader{bufio.NewReaderSize(in, maxLine)}
}

// read returns the next request; an empty one is skipped, as Redis does. It returns an error that wraps errProtocol for bytes
// that are no request, and for a request above a limit; otherwise the connection's.
func (r *requestReader) read() ([]string, error) {
	for {
		first, err := r.in.Peek(1)
		if err != nil {
			return nil, err
		}
		var args []string
		if first[0] == '*' {
			args, err = r.readArray()
		} else {
			args, err = r.readInline()
		}
		if err != nil || len(args) > 0 {
			return args, err
		}
	}
}

// await waits for the first byte of the next request.
func (r *requestReader) await() error {
	_, err := r.in.Peek(1)
	return err
}

// readInline reads words that are separated by blanks. Quotes have no meaning in it.
func (r *requestReader) readInline() ([]string, error) {
	line, err := r.readLine("inline request")
	if err != nil {
		return nil, err
	}
	var args []string
	for _, word := range bytes.Fields(line) {
		args = append(args, string(word))
	}
	return args, nil
}

func (r *requestReader) readArray() ([]string, error) {
	n, err := r.readNumber('*', "multibulk length", maxArgs)
	if err != nil {
		return nil, err
	}
	var args []string
	left := maxRequest
	for range n {
		size, err := r.readNumber('$', "bulk length", left)
		if err != nil {
			return nil, err
		}
		if size < 0 {
			return nil, fmt.Errorf("%w: invalid bulk length", errProtocol)
		}
		left -= size
		text := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r.in, text); err != nil {
			return nil, err
		}
		if !bytes.HasSuffix(text, []byte("\r\n")) {
			return nil, fmt.Errorf("%w: a string is longer than its length", errProtocol)
		}
		args = append(args, string(text[:size]))
	}
	return args, nil
}

// readNumber reads a header: its kind and a number up to limit. A negative number is an empty array.
func (r *requestReader) readNumber(kind byte, what string, limit int) (int, error) {
	line, err := r.readLine(what)
	if err != nil {
		return 0, err
	}
	if len(line) == 0 || line[0] != kind {
		return 0, fmt.Errorf("%w: expected '%c'", errProtocol, kind)
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n > limit {
		return 0, fmt.Errorf("%w: invalid %s", errProtocol, what)
	}
	return max(n, -1), nil
}

// readLine returns a line without its end. The line is valid until the next read.
func (r *requestReader) readLine(what string) ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: too big %s", errProtocol, what)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
