package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// bufferSize is what is read at once, in bytes. A connection has a buffer only while it has bytes to pass on.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// relay passes bytes on from one connection to another until the first one ends, and then ends the other one's reading. It
// returns nil for an end in order.
func relay(to, from *net.TCPConn, passed *atomic.Int64) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	for {
		b, n, err := readReady(raw)
		if n > 0 {
			_, err2 := to.Write((*b)[:n])
			buffers.Put(b)
			passed.Add(int64(n))
			err = errors.Join(err, err2)
		}
		if errors.Is(err, io.EOF) {
			return to.CloseWrite()
		}
		if err != nil {
			return err
		}
	}
}

// readReady waits until there is something to read, and reads it into a buffer, which the caller puts back if n is above 0.
func readReady(raw syscall.RawConn) (b *[]byte, n int, err error) {
	failed := raw.Read(func(fd uintptr) bool {
		b = buffers.Get().(*[]byte)
		for {
			if n, err = unix.Read(int(fd), *b); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if n <= 0 {
			buffers.Put(b)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case failed != nil:
		return nil, 0, failed
	case err != nil:
		return nil, 0, err
	case n == 0:
		return nil, 0, io.EOF
	}
	return b, n, nil
}
