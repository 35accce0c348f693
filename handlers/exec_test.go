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
	"testing"
	"time"
)

// deadline bounds every wait here; nothing comes near it unless it hangs.
const deadline = 10 * time.Second

// command is a shell command with a pipe as its output, which ends when the last process that holds it has ended.
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
	c := &Command{Args: []string{script}, Shell: true, Stdout: w, Stderr: io.Discard, Grace: func() time.Duration { return grace }}
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

// ended waits until no process holds the pipe any more.
func (p *pipe) ended(t *testing.T) {
	t.Helper()
	_ = p.w.Close()
	if _, err := io.Copy(io.Discard, p.r); err != nil {
		t.Errorf("a process is left: %v", err)
	}
}

func TestCommand_ExitCodeIsTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		shell bool
		code  int // -1: it did not run
	}{
		{"0 is success", []string{"true"}, false, 0},
		{"anything else is a failure that can be read", []string{"/bin/sh", "-c", "exit 7"}, false, 7},
		{"a shell gets the arguments as one line", []string{"exit", "3;", "exit", "4"}, true, 3},
		{"without a shell they are taken as they are", []string{"/bin/sh", "-c", "exit $#", "x", "a b", "c"}, false, 2},
		{"a program that does not exist is a failure", []string{"/no/such/program"}, false, -1},
		{"so it is for a shell", []string{"/no/such/program"}, true, 127},
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
				t.Errorf("got %v, want one that says why", err)
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

// An event that is larger than a pipe's buffer, for a child that does not read it, with a grandchild that keeps it open.
func TestCommand_NeedNotReadTheEvent(t *testing.T) {
	event := bytes.Repeat([]byte("x"), 1<<20)
	for _, tt := range []struct{ name, script string }{
		{"its end ends the writing", "exit 0"},
		{"a grandchild that holds the pipe does not keep us", "exec 3<&0; sleep 60 <&3 & exit 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			c := &Command{Args: []string{tt.script}, Shell: true, Stdout: io.Discard, Stderr: io.Discard, Grace: func() time.Duration { return 0 }}
			defer c.End()
			if err := c.Handle(ctx, event); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCommand_EndsWithTheContext(t *testing.T) {
	const deaf = `trap "" TERM; sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done' & wait; while :; do sleep 1; done`
	cause := errors.New("the lock is lost")
	for _, tt := range []struct {
		name, script string
		grace, least time.Duration
	}{
		{"a child that obeys SIGTERM has no grace to wait for", "echo ready; exec sleep 60", time.Minute, 0},
		{"grandchildren that obey are ended too", "sleep 60 & echo ready; wait", time.Minute, 0},
		{"grandchildren that ignore SIGTERM are killed after the grace", deaf, 200 * time.Millisecond, 200 * time.Millisecond},
		{"without a grace they are killed at once", deaf, 0, 0},
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
				t.Fatal("it goes on")
			}
			if took := time.Since(began); took < tt.least {
				t.Errorf("it was ended after %s, want no sooner than %s", took, tt.least)
			}
			out.ended(t)
		})
	}
}

func TestCommand_EndStopsWhatAChildLeft(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"one that obeys", "sleep 60 & echo ready"},
		{"one that ignores SIGTERM", `(trap "" TERM; echo ready; while :; do sleep 1; done) & exit 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, out := command(t, 100*time.Millisecond, tt.script)
			if err := c.Handle(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			out.line(t)
			c.End()
			out.ended(t)
			c.End() // nothing is known to be left
		})
	}
}
