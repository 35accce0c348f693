package lab

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Writer is a client that looks the master up, writes one key after the other to it, and remembers what was
// acknowledged. On an error it looks the master up again.
type Writer struct {
	find func(context.Context) (string, error)
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	acked []int
	last  time.Time
	gap   time.Duration
}

// StartWriter starts a client that finds the master's host:port by find.
func StartWriter(ctx context.Context, find func(context.Context) (string, error)) *Writer {
	ctx, stop := context.WithCancel(ctx)
	w := &Writer{find: find, stop: stop, done: make(chan struct{}), last: time.Now()}
	go func() {
		defer close(w.done)
		for n := 0; ctx.Err() == nil; {
			if c := w.dial(ctx); c != nil {
				n = w.write(ctx, c, n)
				c.Close()
			}
		}
	}()
	return w
}

// dial finds the master and connects to it.
func (w *Writer) dial(ctx context.Context) rueidis.Client {
	tick := time.NewTimer(time.Millisecond)
	defer tick.Stop()
	if addr, err := w.find(ctx); err == nil {
		c, err := connect(addr, 300*time.Millisecond)
		if err == nil {
			return c
		}
		if c != nil {
			c.Close()
		}
	}
	select {
	case <-ctx.Done():
	case <-tick.C:
	}
	return nil
}

func connect(addr string, timeout time.Duration) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true,
		DisableRetry: true, AlwaysRESP2: true, ConnWriteTimeout: timeout, ClientSetInfo: rueidis.DisableClientSetInfo})
}

// write writes until something fails, and returns the next number.
func (w *Writer) write(ctx context.Context, c rueidis.Client, n int) int {
	for ctx.Err() == nil {
		err := c.Do(ctx, c.B().Set().Key(key(n)).Value("v").Build()).Error()
		if err == nil {
			w.ack(n)
		}
		n++ // a write that failed may have been done: it counts for nothing
		if err != nil {
			break
		}
	}
	return n
}

func key(n int) string { return fmt.Sprint("w:", n) }

func (w *Writer) ack(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if len(w.acked) > 0 {
		w.gap = max(w.gap, now.Sub(w.last))
	}
	w.last, w.acked = now, append(w.acked, n)
}

// Stop ends the writing.
func (w *Writer) Stop() { w.stop(); <-w.done }

// Acked is how many writes were acknowledged.
func (w *Writer) Acked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// Wrote returns nil once that many writes were acknowledged.
func (w *Writer) Wrote(n int) error {
	if got := w.Acked(); got < n {
		return fmt.Errorf("%d writes acknowledged, not %d", got, n)
	}
	return nil
}

// LongestGap is the longest time between two acknowledged writes.
func (w *Writer) LongestGap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gap
}

// Lost is how many of the acknowledged writes the server at addr does not have.
func (w *Writer) Lost(addr string) (int, error) {
	c, err := connect(addr, 5*time.Second)
	if c != nil {
		defer c.Close()
	}
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := 0
	for from := 0; from < len(w.acked); from += 1000 {
		part := w.acked[from:min(from+1000, len(w.acked))]
		cmd := c.B().Arbitrary("EXISTS")
		for _, n := range part {
			cmd = cmd.Keys(key(n))
		}
		have, err := c.Do(context.Background(), cmd.Build()).AsInt64()
		if err != nil {
			return 0, err
		}
		lost += len(part) - int(have)
	}
	return lost, nil
}
