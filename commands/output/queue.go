// Package output writes the log, and what handlers and hooks print, so that no write delays or ends what decides. What is written
// is queued. If nobody reads, the queue fills, and what does not fit is dropped and counted.
//
// Each Queue has one goroutine, which alone writes to the stream. Each Pipe has one, which reads what child processes print.
// Close joins both. A goroutine whose write to the system hangs cannot be ended from outside: Close leaves it behind.
package output

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"resec/commands/observable"
)

const (
	// maxWaiting bounds the text that waits, in bytes. A text of any length is taken if no other one waits.
	maxWaiting = 256 << 10
	// FlushTimeout bounds the wait for a stream at the end of the process. Its reader may need some time for what waits.
	FlushTimeout = time.Second
	// fullRetry is the pause before a write is repeated to a pipe that is full and does not block. Another process may have made
	// it so.
	fullRetry = 20 * time.Millisecond
)

// Queue is a stream of lines that never blocks its writers. It is safe for concurrent use.
type Queue struct {
	stream    io.Writer
	wake      chan struct{} // something is to be done
	done      chan struct{} // closed when the goroutine has ended
	abandoned chan struct{} // closed when Close no longer waits

	mu      sync.Mutex
	waiting []text
	size    int  // bytes that wait
	dropped int  // lines since the last notice
	idle    bool // the last write failed, and nothing was queued since: the notice waits for the next text
	closing bool
	notice  func(lines int) []byte

	midLine bool // belongs to the goroutine: the stream does not end with the end of a line
}

// text is something to write: what a caller wrote, or, if it is nil, the notice that so many lines were dropped.
type text struct {
	data  []byte
	lines int
}

// NewQueue returns a queue for a stream, and starts its goroutine.
func NewQueue(stream io.Writer) *Queue {
	q := &Queue{stream: stream, wake: make(chan struct{}, 1), done: make(chan struct{}), abandoned: make(chan struct{})}
	go q.run()
	return q
}

// OnDropped sets the function that makes the notice of dropped lines. The notice is written in the place of the lines as soon as
// the stream takes it. The function may return nothing. It is called by the queue's goroutine, and may write to another queue.
func (q *Queue) OnDropped(notice func(lines int) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notice = notice
}

// Write queues a copy of p, or drops it. It neither blocks nor fails.
func (q *Queue) Write(p []byte) (int, error) {
	q.add(p)
	return len(p), nil
}

// drop counts p as dropped.
func (q *Queue) drop(p []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += linesOf(p)
}

// linesOf is how many lines a text counts as: one that does not end is one, too.
func linesOf(p []byte) int { return max(1, bytes.Count(p, []byte{'\n'})) }

// add queues a copy of p, and reports whether it did.
func (q *Queue) add(p []byte) bool {
	lines := linesOf(p)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idle = false
	if q.size > 0 && q.size+len(p) > maxWaiting {
		q.dropped += lines
		return false
	}
	q.takeNotice()
	q.waiting = append(q.waiting, text{bytes.Clone(p), lines})
	q.size += len(p)
	observable.Signal(q.wake)
	return true
}

// takeNotice queues the notice of what was dropped until now. The caller holds the lock.
func (q *Queue) takeNotice() {
	if q.dropped > 0 {
		q.waiting = append(q.waiting, text{nil, q.dropped})
		q.dropped = 0
	}
}

// Close waits until all that was written is in the stream, for at most FlushTimeout. Write must not be called any more.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	observable.Signal(q.wake)
	limit := time.NewTimer(FlushTimeout)
	defer limit.Stop()
	select {
	case <-q.done:
	case <-limit.C:
		close(q.abandoned)
	}
}

// run writes what waits until the queue is closed and empty, or Close no longer waits.
func (q *Queue) run() {
	defer close(q.done)
	for {
		t, ok, last := q.next()
		if ok {
			q.print(t)
			continue
		}
		if last {
			return
		}
		select {
		case <-q.wake:
		case <-q.abandoned:
			return
		}
	}
}

// next takes the first text that waits. If there is none, it reports whether the queue is closed.
func (q *Queue) next() (t text, ok, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 && !q.idle {
		q.takeNotice()
	}
	if len(q.waiting) == 0 {
		return t, false, q.closing
	}
	t, q.waiting = q.waiting[0], q.waiting[1:]
	q.size -= len(t.data)
	return t, true, false
}

// print writes one text. What the stream does not take is dropped.
func (q *Queue) print(t text) {
	data := t.data
	if data == nil {
		data = q.noticeOf(t.lines)
	}
	if len(data) == 0 || q.write(data) == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += t.lines
	q.idle = len(q.waiting) == 0
}

// noticeOf returns the notice of dropped lines, on a line of its own.
func (q *Queue) noticeOf(lines int) []byte {
	q.mu.Lock()
	notice := q.notice
	q.mu.Unlock()
	if notice == nil {
		return nil
	}
	data := notice(lines)
	if len(data) > 0 && q.midLine {
		data = append([]byte{'\n'}, data...)
	}
	return data
}

// write writes all of the data to the stream, which may take long. It returns the stream's error.
func (q *Queue) write(data []byte) error {
	for len(data) > 0 {
		n, err := q.stream.Write(data)
		if n > 0 {
			q.midLine = data[n-1] != '\n'
		}
		data = data[n:]
		if err == nil {
			continue
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		select {
		case <-q.abandoned:
			return err
		case <-time.After(fullRetry):
		}
	}
	return nil
}
