package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

	groups []int // of children that have ended and may have left something running
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
	cmd.Env = append(slices.DeleteFunc(os.Environ(), secret), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(event), c.Stdout, c.Stderr
	cmd.WaitDelay = 100 * time.Millisecond // a grandchild that keeps our pipes open does not keep us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %q: %w", args, err)
	}
	group := cmd.Process.Pid
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		c.groups = append(slices.DeleteFunc(c.groups, empty), group)
		return c.verdict(err)
	case <-ctx.Done():
		stop(group, c.Grace())
		select {
		case <-done:
		case <-time.After(killTimeout): // it may be another user's by now, or wait for a disk
			return fmt.Errorf("%q could not be ended, and is left: %w", c.Args, context.Cause(ctx))
		}
		return fmt.Errorf("%q was ended: %w", c.Args, context.Cause(ctx))
	}
}

// Withheld are the variables that no child has: what it does with its environment is not ours to know. One that needs a password or
// the token has the name of its file (REDIS_PASSWORD_FILE, REDIS_REPLICATION_PASSWORD_FILE, CONSUL_HTTP_TOKEN_FILE).
var Withheld = []string{"REDIS_PASSWORD", "REDIS_REPLICATION_PASSWORD", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_AUTH"}

func secret(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(Withheld, name)
}

func (c *Command) verdict(err error) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("%w: %q: %w", ErrExit, c.Args, err)
}

// End stops what finished children left running in their groups.
func (c *Command) End() {
	var wg sync.WaitGroup
	for _, group := range c.groups {
		if !empty(group) {
			wg.Go(func() { stop(group, c.Grace()) })
		}
	}
	wg.Wait()
	c.groups = nil
}

// killTimeout is how long a process is waited for that was killed.
const killTimeout = time.Second

// empty tells whether nothing of ours is left in a group whose leader was waited for. Should the leader's number be in
// use again, then by a stranger, and so may be the group's.
func empty(group int) bool {
	return syscall.Kill(group, 0) != syscall.ESRCH || dead(group)
}

// dead tells whether no process of the group runs. Orphans that nobody waits for, as in a container whose first process
// is not an init, stay zombies: they count as dead, where /proc tells.
func dead(group int) bool {
	if syscall.Kill(-group, 0) == syscall.ESRCH {
		return true
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		data, _ := os.ReadFile(file)
		var state string
		var parent, pgrp int
		// The name, in parentheses, may hold anything.
		if _, err := fmt.Sscan(string(data[bytes.LastIndexByte(data, ')')+1:]), &state, &parent, &pgrp); err == nil && pgrp == group && state != "Z" {
			return false
		}
	}
	return len(stats) > 0
}

// stop asks a group to end, and ends it after the grace. Grandchildren are not ours to wait for, so it looks.
func stop(group int, grace time.Duration) {
	if syscall.Kill(-group, syscall.SIGTERM) != nil {
		return
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(grace); time.Now().Before(end); <-look.C {
		if dead(group) {
			return
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}
