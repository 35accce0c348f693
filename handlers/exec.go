package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is a handler outside of this process: the event is its standard input, its exit code the answer. It runs in
// a process group of its own, so that what it started in the background can be ended too.
type Command struct {
	Args   []string
	Shell  bool // run by /bin/sh -c, as `consul lock` and `consul watch` do
	Stdout io.Writer
	Stderr io.Writer
	// Grace is how long a child may take from SIGTERM to SIGKILL.
	Grace func() time.Duration

	group int // of the last child, 0 when nothing is known to be left of it
}

// ErrExit is returned for a child that ran and said no.
var ErrExit = errors.New("handler failed")

// Handle runs the command and waits for it. When the context ends, so does the child, with its whole group.
func (c *Command) Handle(ctx context.Context, event []byte, env ...string) error {
	args := c.Args
	if c.Shell {
		args = []string{"/bin/sh", "-c", strings.Join(c.Args, " ")}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(event), c.Stdout, c.Stderr
	cmd.WaitDelay = 100 * time.Millisecond // a grandchild that keeps our pipes open does not keep us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: start %q: %w", ErrExit, args, err)
	}
	c.group = cmd.Process.Pid
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return c.verdict(err)
	case <-ctx.Done():
		c.end(done)
		return fmt.Errorf("%q was ended: %w", c.Args, context.Cause(ctx))
	}
}

func (c *Command) verdict(err error) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("%w: %q: %w", ErrExit, c.Args, err)
}

// end stops the running child's group; it returns when the child has been waited for.
func (c *Command) end(done <-chan error) {
	group := c.group
	c.group = 0
	stop(group, c.Grace())
	<-done
}

// End stops what a finished child left running in its group.
func (c *Command) End() {
	group := c.group
	c.group = 0
	// The leader was waited for. Should its number be in use again, then by a stranger, and so may be the group's.
	if group != 0 && syscall.Kill(group, 0) != nil {
		stop(group, c.Grace())
	}
}

// stop asks a group to end, and ends it after the grace. Grandchildren are not ours to wait for, so it looks.
func stop(group int, grace time.Duration) {
	if syscall.Kill(-group, syscall.SIGTERM) != nil {
		return
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(grace); time.Now().Before(end); <-look.C {
		if syscall.Kill(-group, 0) != nil {
			return
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}
