package sentinel

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxPending bounds what a client has not read yet, in bytes. The largest reply fits in: the records of a hundred members.
	maxPending = 128 << 10
	// writeTimeout bounds one write to a client. One that reads nothing for so long is disconnected.
	writeTimeout = 10 * time.Second
)

// errSlow is returned for a client that does not read what it asked for.
var errSlow = errors.New("it does not read")

// outbox is what a client has still to be sent. Any goroutine may add to it; the goroutine of run alone writes, so that a client
// that does not read delays nobody.
type outbox struct {
	mu      sync.Mutex
	pending []byte
	ended   bool
	wake    chan struct{} // of buffer 1
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// add appends bytes that add returns. It returns errSlow if the client has too much to read already.
func (o *outbox) add(encode func([]byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return net.ErrClosed
	}
	before := len(o.pending)
	o.pending = encode(o.pending)
	if len(o.pending) > maxPending {
		o.pending = o.pending[:before]
		return errSlow
	}
	o.signal()
	return nil
}

// end makes run return once everything is written.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run writes until the end, or until the client cannot be written to.
func (o *outbox) run(c net.Conn) error {
	var spare []byte
	for range o.wake {
		o.mu.Lock()
		out, ended := o.pending, o.ended
		o.pending = spare[:0]
		o.mu.Unlock()
		if len(out) > 0 {
			if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if spare = out; cap(spare) > keptBuffer {
			spare = nil
		}
	}
	return nil
}

// keptBuffer is the size up to which a buffer is used again: most replies fit in, and a thousand idle clients take little.
const keptBuffer = 1 << 10
