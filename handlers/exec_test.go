package handlers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// deadline bounds every wait; no test comes near it unless it fails.
const deadline = 10 * time.Second

// command is a shell command that writes to a pipe, which ends when the last process that has it open exits.
func command(t *testing.T, grace time.Duration, script string) (*Command, *pipe) {
	t.Helper()
	r, w, err := os.Pipe()
	if err == nil {
		err = r.SetReadDeadline(time.Now().Add(deadline))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	c := &Command{Args: []string{script}, Shell: true, Stdout: w, Stderr: io.Discard}
	c.Grace = func() time.Duration { return grace }
	return c, &pipe{w: w, r: bufio.NewReader(r)}
}

type pipe struct {
	w *os.File
	r *bufio.Reader
}

// line waits for the next line.
func (p *pipe) line(t *testing.T) string {
	t.Helper()
	s, err := p.r.ReadString('\n')
	if err != nil {
		t.Fatalf("read %q: %v", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// ended waits until no process has the pipe open.
func (p *pipe) ended(t *testing.T) {
	t.Helper()
	_ = p.w.Close()
	if _, err := io.Copy(io.Discard, p.r); err != nil {
		t.Errorf("a process still runs: %v", err)
	}
}

func TestCommand_ExitCodeIsTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		shell bool
		code  int // -1: it did not start
	}{
		{"0 is success", []string{"true"}, false, 0},
		{"any other code is an error with that code", []string{"/bin/sh", "-c", "exit 7"}, false, 7},
		{"a shell gets the arguments as one line", []string{"exit", "3;", "exit", "4"}, true, 3},
		{"without a shell each argument is passed as it is", []string{"/bin/sh", "-c", "exit $#", "x", "a b", "c"}, false, 2},
		{"a program that does not exist is an error", []string{"/no/such/program"}, false, -1},
		{"also with a shell", []string{"/no/such/program"}, true, 127},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Command{Args: tt.args, Shell: tt.shell, Stdout: io.Discard, Stderr: io.Discard}
			err := c.Handle(t.Context(), nil)
			var exit *exec.ExitError
			code := 0
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				code = -1
			}
			if code != tt.code || errors.Is(err, ErrExit) != (tt.code > 0) {
				t.Errorf("got %v (code %d), want code %d", err, code, tt.code)
			}
			if tt.code == -1 && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v, want os.ErrNotExist", err)
			}
		})
	}
}

func TestCommand_GetsTheEventAndTheEnvironment(t *testing.T) {
	var out bytes.Buffer
	c := &Command{Args: []string{`cat; echo "$RESEC_TEST $HOME"`}, Shell: true, Stdout: &out, Stderr: &out}
	if err := c.Handle(t.Context(), []byte("{}\n"), "RESEC_TEST=1", "HOME=/h"); err != nil {
		t.Error(err)
	}
	if got, want := out.String(), "{}\n1 /h\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The event is larger than a pipe's buffer, and the child does not read it.
func TestCommand_NeedNotReadTheEvent(t *testing.T) {
	event := bytes.Repeat([]byte("x"), 1<<20)
	for _, tt := range []struct{ name, script string }{
		{"the exit of the child ends the write", "exit 0"},
		{"a grandchild that keeps the pipe open does not delay the result", "exec 3<&0; sleep 60 <&3 & exit 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			c := &Command{Args: []string{tt.script}, Shell: true, Stdout: io.Discard, Stderr: io.Discard}
			c.Grace = func() time.Duration { return 0 }
			defer c.End()
			if err := c.Handle(ctx, event); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCommand_EndsWithTheContext(t *testing.T) {
	const ignoresSIGTERM = `trap "" TERM
		sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done' &
		wait
		while :; do sleep 1; done`
	cause := errors.New("the lock is lost")
	for _, tt := range []struct {
		name, script string
		grace, least time.Duration
	}{
		{"a child that obeys SIGTERM ends the wait at once", "echo ready; exec sleep 60", time.Minute, 0},
		{"grandchildren that obey SIGTERM are stopped too", "sleep 60 & echo ready; wait", time.Minute, 0},
		{"grandchildren that ignore SIGTERM are killed after the grace",
			ignoresSIGTERM, 200 * time.Millisecond, 200 * time.Millisecond},
		{"without a grace grandchildren are killed at once", ignoresSIGTERM, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, out := command(t, tt.grace, tt.script)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error, 1)
			go func() { done <- c.Handle(ctx, nil) }()
			if got := out.line(t); got != "ready" {
				t.Fatalf("got %q", got)
			}
			began := time.Now()
			cancel(cause)
			select {
			case err := <-done:
				if !errors.Is(err, cause) || errors.Is(err, ErrExit) {
					t.Errorf("got %v, want %v", err, cause)
				}
			case <-time.After(deadline):
				t.Fatal("the command still runs")
			}
			if took := time.Since(began); took < tt.least {
				t.Errorf("it was stopped after %s, want %s at least", took, tt.least)
			}
			out.ended(t)
		})
	}
}

// A grace that becomes shorter while a child is stopped counts from then.
func TestCommand_GraceBecomesShorter(t *testing.T) {
	c, out := command(t, 0, `trap "" TERM; echo ready; while :; do sleep 1; done`)
	var asked atomic.Int64
	c.Grace = func() time.Duration {
		if asked.Add(1) < 10 {
			return time.Minute
		}
		return 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Handle(ctx, nil) }()
	out.line(t)
	cancel()
	select {
	case <-done:
	case <-time.After(deadline):
		t.Error("the command still runs")
	}
	out.ended(t)
}

func TestCommand_EndStopsWhatAChildLeft(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"a process that obeys SIGTERM", "sleep 60 & echo ready"},
		{"a process that ignores SIGTERM", `(trap "" TERM; echo ready; while :; do sleep 1; done) & exit 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, out := command(t, 100*time.Millisecond, tt.script)
			if err := c.Handle(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			out.line(t)
			c.End()
			out.ended(t)
			c.End() // with no groups
		})
	}
}
