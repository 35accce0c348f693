package handlers

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startGroup starts a shell as leader of its own group, and returns the group.
func startGroup(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(deadline)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-timeout:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// However often a running group is checked, /proc is scanned once: the check remembers a process.
func TestGroupCheck_ScansOnce(t *testing.T) {
	group := startGroup(t, "exec sleep 60").Process.Pid
	check := groupCheck{group: group}
	now := time.Now()
	for range 200 {
		now = now.Add(groupInterval)
		if check.ended(now) {
			t.Fatal("a running group has ended")
		}
	}
	if check.scans != 1 || check.pid != group {
		t.Errorf("%d scans, process %d; want 1, %d", check.scans, check.pid, group)
	}
}

// Scans back off if no process is found although the group exists.
func TestGroupCheck_BacksOff(t *testing.T) {
	check := groupCheck{group: startGroup(t, "exec sleep 60").Process.Pid}
	now := time.Now()
	var pauses []time.Duration
	for range 8 {
		check.pid = 0 // as if it had exited
		if check.ended(now) {
			t.Fatal("a running group has ended")
		}
		pauses = append(pauses, check.next.Sub(now))
		before := check.scans
		check.pid = 0
		if check.ended(check.next.Add(-1)) || check.scans != before {
			t.Errorf("scanned before the pause of %s has passed", check.next.Sub(now))
		}
		now = check.next
	}
	want := []time.Duration{5, 10, 20, 40, 80, 160, 250, 250}
	for i := range pauses {
		if pauses[i] != want[i]*time.Millisecond {
			t.Errorf("pause %d is %s, want %s", i, pauses[i], want[i]*time.Millisecond)
		}
	}
}

func TestGroupCheck_NoticesTheEnd(t *testing.T) {
	cmd := startGroup(t, "exec sleep 60")
	check := groupCheck{group: cmd.Process.Pid}
	if check.ended(time.Now()) {
		t.Fatal("a running group has ended")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !check.ended(time.Now()) {
		t.Error("a group without processes has not ended")
	}
}

// A zombie does not keep its group alive: this child is not waited for until the check is over.
func TestGroupCheck_IgnoresZombies(t *testing.T) {
	cmd := startGroup(t, "exit 0")
	group := cmd.Process.Pid
	eventually(t, "a zombie", func() bool {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(group) + "/stat")
		return err == nil && strings.Contains(string(data), ") Z ")
	})
	check := groupCheck{group: group}
	if err := syscall.Kill(-group, 0); err != nil {
		t.Fatalf("the zombie has left its group: %v", err)
	}
	if !check.ended(time.Now()) {
		t.Error("a group with only a zombie has not ended")
	}
	began := time.Now()
	stopGroup(group, func() time.Duration { return time.Minute })
	if took := time.Since(began); took > deadline {
		t.Errorf("a group with only a zombie was stopped after %s", took)
	}
}

func TestRunning(t *testing.T) {
	own := unix.Getpgrp()
	for _, tt := range []struct {
		name       string
		pid, group int
		want       bool
	}{
		{"this process in its group", os.Getpid(), own, true},
		{"this process in another group", os.Getpid(), own + 1, false},
		{"no process", 1 << 30, own, false},
	} {
		if got := running(tt.pid, tt.group); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

// A group whose leader was waited for has ended if the leader's number is in use again: then it is not ours.
func TestGroupEnded(t *testing.T) {
	child := startGroup(t, "sleep 60 & exit 0") // the leader exits, its child stays
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if groupEnded(child.Process.Pid) {
		t.Error("a group with a running child of its leader has ended")
	}
	if !groupEnded(startGroup(t, "exec sleep 60").Process.Pid) {
		t.Error("a group with a new leader counts as ours")
	}
}
