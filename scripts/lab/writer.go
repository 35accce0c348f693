package lab

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Writing is what a client does that looks the master up, writes one key after the other to it, and remembers what was
// acknowledged. On an error it looks the master up again.
type Writing struct {
	Find     func(context.Context) (string, error) // the master's host:port
	Dial     Dial                                  // nil: from this machine
	Password string
	Pace     time.Duration // from one write to the next; 0: at once
}

// Writer is such a client at work.
type Writer struct {
	Writing
	prefix string // of its keys: no other writer's
	began  time.Time
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	acks   []Ack
	ended  time.Time
	errors map[string]int
}

// Ack is a write that was acknowledged.
type Ack struct {
	N  int
	At time.Time
}

var writers atomic.Int64

// StartWriter starts a client on this machine that finds the master's host:port by find, and writes as fast as it can.
func StartWriter(ctx context.Context, find func(context.Context) (string, error)) *Writer {
	return Writing{Find: find}.Start(ctx)
}

// Start starts the client.
func (p Writing) Start(ctx context.Context) *Writer {
	ctx, stop := context.WithCancel(ctx)
	if p.Dial == nil {
		p.Dial = (*NetHost)(nil).Dial
	}
	w := &Writer{Writing: p, prefix: fmt.Sprintf("w%d:", writers.Add(1)), began: time.Now(), stop: stop, done: make(chan struct{}), errors: map[string]int{}}
	go func() {
		defer close(w.done)
		for n := 0; ctx.Err() == nil; {
			if c := w.connect(ctx); c != nil {
				n = w.write(ctx, c, n)
				c.Close()
			}
		}
	}()
	return w
}

// connect finds the master and connects to it.
func (w *Writer) connect(ctx context.Context) rueidis.Client {
	addr, err := w.Find(ctx)
	if err != nil {
		w.failed(ctx, "find: ", err)
	} else {
		c, err := connect(w.Dial, addr, w.Password, 300*time.Millisecond, "")
		if err == nil {
			return c
		}
		if c != nil {
			c.Close()
		}
		w.failed(ctx, "connect: ", err)
	}
	wait(ctx, max(w.Pace, time.Millisecond))
	return nil
}

// wait waits, or not, if the context has ended.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// write writes until something fails, and returns the next number.
func (w *Writer) write(ctx context.Context, c rueidis.Client, n int) int {
	for ctx.Err() == nil {
		err := c.Do(ctx, c.B().Set().Key(w.key(n)).Value("v").Build()).Error()
		n++ // a write that failed may have been done: it counts for nothing
		if err != nil {
			w.failed(ctx, "", err)
			break
		}
		w.ack(n - 1)
		if w.Pace > 0 {
			wait(ctx, w.Pace)
		}
	}
	return n
}

func (w *Writer) key(n int) string { return fmt.Sprint(w.prefix, n) }

func (w *Writer) ack(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks = append(w.acks, Ack{n, time.Now()})
}

func (w *Writer) failed(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return // it was stopped
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[what+kind(err)]++
}

// Stop ends the writing.
func (w *Writer) Stop() {
	w.stop()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.IsZero() {
		w.ended = time.Now()
	}
}

// Acked is how many writes were acknowledged.
func (w *Writer) Acked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acks)
}

// Wrote returns nil once that many writes were acknowledged.
func (w *Writer) Wrote(n int) error {
	if got := w.Acked(); got < n {
		return fmt.Errorf("%d writes acknowledged, not %d: %v", got, n, w.Errors())
	}
	return nil
}
