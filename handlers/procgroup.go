package handlers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// groupInterval is the interval at which a group is checked while it is stopped. Its processes are mostly not our
	// children, so there is no event for their end.
	groupInterval = 5 * time.Millisecond
	// maxScanPause bounds the pause between two scans of /proc, which is doubled from groupInterval on. A scan reads a file
	// for each process of the machine.
	maxScanPause = 250 * time.Millisecond
)

// groupEnded reports whether no process of ours is left in a group whose leader was waited for. If the leader's number is in
// use again, then by another process, and so may be the group's.
func groupEnded(group int) bool {
	if syscall.Kill(group, 0) != syscall.ESRCH {
		return true
	}
	return (&groupCheck{group: group}).ended(time.Now())
}

// stopGroup sends SIGTERM to a group, and SIGKILL to what is left of it after the grace, which may become shorter meanwhile. It
// returns early if the group has ended.
func stopGroup(group int, grace func() time.Duration) {
	if syscall.Kill(-group, syscall.SIGTERM) != nil {
		return
	}
	check := groupCheck{group: group}
	tick := time.NewTicker(groupInterval)
	defer tick.Stop()
	for deadline := time.Now().Add(grace()); time.Now().Before(deadline); <-tick.C {
		if d := time.Now().Add(grace()); d.Before(deadline) { // this process was asked to stop, or has lost its lease
			deadline = d
		}
		if check.ended(time.Now()) {
			return
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}

// groupCheck finds out, again and again, whether a process group has ended. A check costs a system call, and one file of
// /proc as long as the process that it found last is running.
type groupCheck struct {
	group int

	pid   int           // a process of the group that was running at the last check; 0: none is known
	next  time.Time     // of the next scan
	pause time.Duration // after the next scan
	scans int           // so far
}

// ended reports whether no process of the group is running. A zombie is not: if no init process reaps orphans, as in some
// containers, a zombie stays in its group. Without /proc a zombie counts as running.
func (c *groupCheck) ended(now time.Time) bool {
	if syscall.Kill(-c.group, 0) == syscall.ESRCH {
		return true
	}
	if c.pid != 0 && running(c.pid, c.group) {
		return false
	}
	if now.Before(c.next) {
		return false
	}
	c.scans++
	c.pause = min(max(2*c.pause, groupInterval), maxScanPause)
	c.next = now.Add(c.pause)
	pid, readable := findRunning(c.group)
	c.pid = pid
	return readable && pid == 0
}

// findRunning returns a running process of a group, or 0, and whether /proc can be read.
func findRunning(group int) (pid int, readable bool) {
	stats, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range stats {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && running(pid, group) {
			return pid, true
		}
	}
	return 0, len(stats) > 0
}

// running reports whether a process is in the group and no zombie. Source:
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func running(pid, group int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var state string
	var parent, processGroup int
	afterName := data[bytes.LastIndexByte(data, ')')+1:] // the name, in parentheses, may contain anything
	if _, err := fmt.Sscan(string(afterName), &state, &parent, &processGroup); err != nil {
		return false
	}
	return processGroup == group && state != "Z"
}
