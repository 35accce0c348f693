package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
)

// pipe is a pipe of the system's, with the size that the kernel gives it.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	expect.OK(t, err)
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// droppedIn is how many lines a text says were dropped.
func droppedIn(text string) (dropped int) {
	for line := range strings.Lines(text) {
		n := 0
		if _, err := fmt.Sscanf(line, "%d lines dropped\n", &n); err == nil {
			dropped += n
		}
	}
	return dropped
}

func counted(lines int) []byte { return fmt.Appendf(nil, "%d lines dropped\n", lines) }

// stream is a stream that fails with an error as long as it has one.
type stream struct {
	mu    sync.Mutex
	err   error
	text  strings.Builder
	tried int
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried++
	if s.err != nil {
		return 0, s.err
	}
	return s.text.Write(p)
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *stream) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried
}

// drops returns how many lines were dropped, once nothing is left to write; before that -1.
func (q *Queue) drops() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.idle {
		return -1
	}
	return q.dropped
}

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !met(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("timed out: " + what)
		}
	}
}

// A stream that nobody reads delays nobody: what does not fit is dropped, and counted in its place.
func TestQueue_NobodyReads(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	w.Fd() // from now on it blocks, as standard error does
	q := NewQueue(w)
	q.OnDropped(counted)
	const lines = 10_000
	line := strings.Repeat("x", 99) + "\n"
	began := time.Now()
	for range lines {
		if n, err := q.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d lines took %s", lines, took)
	}
	read := make(chan string)
	go func() { text, _ := io.ReadAll(r); read <- string(text) }()
	q.Close()
	expect.OK(t, w.Close())
	text := <-read
	kept, dropped := strings.Count(text, line), droppedIn(text)
	if kept+dropped != lines {
		t.Errorf("%d lines, and %d dropped", kept, dropped)
	}
	if min := maxWaiting / len(line); kept < min {
		t.Errorf("%d lines were kept, want %d or more", kept, min)
	}
}

// A stream that is broken takes nothing; the lines are counted, and it is not tried again without a cause.
func TestQueue_Broken(t *testing.T) {
	t.Parallel()
	s := &stream{err: syscall.EPIPE}
	q := NewQueue(s)
	q.OnDropped(counted)
	for n := 1; n <= 3; n++ {
		fmt.Fprintln(q, "lost")
		until(t, "the line is tried", func() bool { return q.drops() == n })
	}
	tried := s.writes() // each line, and before the second and the third the notice
	expect.Equal(t, "writes", tried, 5)
	s.fail(nil)
	fmt.Fprintln(q, "kept")
	q.Close()
	expect.Equal(t, "text", s.text.String(), "3 lines dropped\nkept\n")
}

// A pipe that is full and does not block is not broken.
func TestQueue_FullWithoutBlocking(t *testing.T) {
	t.Parallel()
	s := &stream{err: syscall.EAGAIN}
	q := NewQueue(s)
	fmt.Fprintln(q, "kept")
	until(t, "it is tried again", func() bool { return s.writes() > 1 })
	s.fail(nil)
	q.Close()
	expect.Equal(t, "text", s.text.String(), "kept\n")
}

// A stream that takes nothing at the end delays the end by no more than the limit. A notice does not continue a line.
func TestQueue_Close(t *testing.T) {
	t.Parallel()
	s := &stream{err: syscall.EAGAIN}
	q := NewQueue(s)
	fmt.Fprintln(q, "lost")
	began := time.Now()
	q.Close()
	if took := time.Since(began); took < FlushTimeout || took > FlushTimeout+5*time.Second {
		t.Errorf("it took %s", took)
	}
	<-q.done

	s = &stream{}
	q = NewQueue(s)
	q.OnDropped(counted)
	fmt.Fprint(q, "half a line")
	until(t, "it is written", func() bool { return s.writes() == 1 })
	s.fail(errors.New("no space left on the device"))
	fmt.Fprintln(q, "lost")
	until(t, "it is dropped", func() bool { return q.drops() == 1 })
	s.fail(nil)
	fmt.Fprintln(q, "kept")
	q.Close()
	expect.Equal(t, "text", s.text.String(), "half a line\n1 lines dropped\nkept\n")
}

// What children print is passed on, also by one that is not waited for; one that keeps the pipe open delays the end little.
func TestPipe(t *testing.T) {
	t.Parallel()
	s := &stream{}
	q := NewQueue(s)
	p, err := NewPipe(q)
	expect.OK(t, err)
	shell := func(script string) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Stdout = p.File
		return cmd
	}
	expect.OK(t, shell("echo one").Run())
	background := shell("exec sleep 1000")
	expect.OK(t, background.Start())
	expect.OK(t, shell("printf two").Run())
	p.Close()
	q.Close()
	expect.Equal(t, "text", s.text.String(), "one\ntwo")
	expect.OK(t, background.Process.Kill())
	_ = background.Wait() // it was killed
}

// A child that prints faster than the stream takes it loses lines, but does not wait.
func TestPipe_NobodyReads(t *testing.T) {
	t.Parallel()
	s := &stream{err: syscall.EAGAIN}
	q := NewQueue(s)
	q.OnDropped(counted)
	p, err := NewPipe(q)
	expect.OK(t, err)
	cmd := exec.Command("/bin/sh", "-c", "yes | head -c 2000000")
	cmd.Stdout = p.File
	expect.OK(t, cmd.Run())
	p.Close()
	q.Close()
	<-q.done
	if lines := 2_000_000 / len("y\n"); q.dropped < lines*9/10 || q.dropped > lines+10 { // the last of them may still be in the pipe
		t.Errorf("%d lines were dropped, of %d that nobody read", q.dropped, lines)
	}
}

// A child that prints without end does not fill the log's disk: what is above the limit is dropped and counted, once a second.
func TestPipe_TooMuch(t *testing.T) {
	t.Parallel()
	s := &stream{}
	q := NewQueue(s)
	q.OnDropped(counted)
	p, err := NewPipe(q)
	expect.OK(t, err)
	const printed = 8 << 20
	began := time.Now()
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("yes | head -c %d", printed))
	cmd.Stdout = p.File
	expect.OK(t, cmd.Run())
	p.Close()
	fmt.Fprintln(q, "last")
	q.Close()
	took := time.Since(began)
	text, most := s.text.String(), childBurst+int(took.Seconds()+1)*childRate
	kept, dropped := strings.Count(text, "y"), droppedIn(text)
	if len(text) > most || kept < childBurst/len("y\n")/2 || dropped < printed/len("y\n")-most {
		t.Errorf("%d bytes were kept in %s (limit %d), %d lines of y, %d lines dropped", len(text), took, most, kept, dropped)
	}
	if notices := strings.Count(text, "dropped"); notices > (printed-childBurst)/chunk/4 {
		t.Errorf("%d notices in %s: there is one for almost each chunk", notices, took)
	}
}
