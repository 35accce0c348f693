package output

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/time/rate"
)

const (
	// chunk is how much of a child's output is taken at once, in bytes.
	chunk = 16 << 10
	// fullPause is the pause after something of a child's output was dropped. So a child that prints without end costs little.
	fullPause = 10 * time.Millisecond
	// drainTimeout bounds the wait for what children have printed, at the end of the process. One that still has the pipe
	// open would otherwise keep it open.
	drainTimeout = 100 * time.Millisecond
	// childRate and childBurst bound what children print, in bytes a second and at once. A program that prints an error without
	// end would otherwise fill the disk that the log is on.
	childRate, childBurst = 256 << 10, 4 << 20
)

// A chunk is never dropped only because of its size.
const _ = uint(childBurst - chunk)

// Pipe passes what child processes print on to a queue. A child has the pipe itself: it may keep it for longer than it is waited
// for, as a background process does. A child that prints faster than the queue's stream takes it, or more than childBurst and
// childRate allow, loses lines. Nobody has to read for it to continue, but it prints no more than a chunk in each fullPause then.
type Pipe struct {
	File *os.File // for children to write to

	read *os.File
	done chan struct{}
}

// NewPipe returns a pipe to a queue, and starts its goroutine. It returns an error if this process can open no pipe.
func NewPipe(to *Queue) (*Pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open a pipe for the output of child processes: %w", err)
	}
	p := &Pipe{File: w, read: r, done: make(chan struct{})}
	go p.pass(to)
	return p, nil
}

// pass reads until the pipe is closed at its other end, or Close gives up.
func (p *Pipe) pass(to *Queue) {
	defer close(p.done)
	allowed := allowance{left: rate.NewLimiter(childRate, childBurst)}
	for buf := make([]byte, chunk); ; {
		n, err := p.read.Read(buf)
		switch {
		case n == 0:
		case !allowed.take(n):
			to.drop(buf[:n])
			time.Sleep(fullPause)
		case !to.add(buf[:n]):
			time.Sleep(fullPause)
		}
		if err != nil {
			return
		}
	}
}

// allowance is what children may still print. Once it is used up they get nothing before a second's worth is left again, so that
// the notices of dropped lines are one a second, too.
type allowance struct {
	left   *rate.Limiter
	usedUp bool
}

// take reports whether n bytes may be printed.
func (a *allowance) take(n int) bool {
	if a.usedUp && a.left.Tokens() < childRate {
		return false
	}
	a.usedUp = !a.left.AllowN(time.Now(), n)
	return !a.usedUp
}

// Close passes on what was printed until now, and ends the pipe. The queue must still be open.
func (p *Pipe) Close() {
	_ = p.File.Close()
	_ = p.read.SetReadDeadline(time.Now().Add(drainTimeout))
	<-p.done
	_ = p.read.Close()
}
