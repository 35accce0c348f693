package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is a handler outside of this process. It gets the event on standard input, and its exit code is the result. It runs
// in a process group of its own, so that its background processes can be stopped too. Its methods must not be called
// concurrently.
type Command struct {
	Args   []string
	Shell  bool // run Args, joined by spaces, by /bin/sh -c, as `consul lock` and `consul watch` do
	Stdout io.Writer
	Stderr io.Writer
	// Grace is the time from SIGTERM to SIGKILL. It is asked again until then, also by several goroutines: less counts from now.
	Grace func() time.Duration
	// Slow is called once for a child that still runs after SlowAfter. May be nil.
	Slow func()

	groups []int // of children that have exited, and may have left processes running
}

// ErrExit is returned for a child that ran and failed.
var ErrExit = errors.New("handler failed")

const (
	// pipeTimeout bounds the wait for a grandchild that keeps the pipes of a child open after that has exited.
	pipeTimeout = 100 * time.Millisecond
	// killTimeout bounds the wait for a process after SIGKILL: it may wait for a disk, or run as another user.
	killTimeout = time.Second
)

// Handle runs the command and waits for it. When the context ends, it stops the whole process group. It returns ErrExit if
// the child failed, the cause of the context if the child was stopped, and any other error if the child did not start.
func (c *Command) Handle(ctx context.Context, event []byte, env ...string) error {
	args := c.Args
	if c.Shell {
		args = []string{"/bin/sh", "-c", strings.Join(c.Args, " ")}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), isWithheld), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(event), c.Stdout, c.Stderr
	cmd.WaitDelay = pipeTimeout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %q: %w", args, err)
	}
	group := cmd.Process.Pid
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if err, ok := c.wait(ctx, exited); ok {
		c.groups = append(slices.DeleteFunc(c.groups, groupEnded), group)
		return c.exitError(err)
	}
	stopGroup(group, c.Grace)
	select {
	case <-exited:
		return fmt.Errorf("%q was stopped: %w", c.Args, context.Cause(ctx))
	case <-time.After(killTimeout):
		return fmt.Errorf("%q could not be killed and still runs: %w", c.Args, context.Cause(ctx))
	}
}

// wait returns how a child has exited, or false at the end of the context.
func (c *Command) wait(ctx context.Context, exited <-chan error) (err error, ok bool) {
	slow := time.NewTimer(SlowAfter)
	defer slow.Stop()
	for {
		select {
		case err := <-exited:
			return err, true
		case <-slow.C:
			if c.Slow != nil {
				c.Slow()
			}
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Withheld are the variables that are removed from a child's environment, because the child may print or pass on its
// environment. A child that needs a secret reads its file, from REDIS_PASSWORD_FILE, REDIS_REPLICATION_PASSWORD_FILE or
// CONSUL_HTTP_TOKEN_FILE.
var Withheld = []string{"REDIS_PASSWORD", "REDIS_REPLICATION_PASSWORD", "SENTINEL_PASSWORD", "CONSUL_HTTP_TOKEN",
	"CONSUL_HTTP_AUTH"}

// isWithheld reports whether a variable, given as KEY=value, is withheld.
func isWithheld(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(Withheld, name)
}

// exitError is the error of a child that was waited for. A grandchild that keeps a pipe open is no error.
func (c *Command) exitError(err error) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("%w: %q: %w", ErrExit, c.Args, err)
}

// End stops the processes that finished children have left running, and waits for them.
func (c *Command) End() {
	var stopping sync.WaitGroup
	for _, group := range c.groups {
		if !groupEnded(group) {
			stopping.Go(func() { stopGroup(group, c.Grace) })
		}
	}
	stopping.Wait()
	c.groups = nil
}
