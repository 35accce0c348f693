package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process takes.
type Usage struct {
	CPU time.Duration // so far
	RSS int64         // bytes, now
}

// tick is the kernel's USER_HZ, which is 100 on every Linux that Go runs on.
const tick = time.Second / 100

// Usage reads it from /proc.
func (p *Process) Usage() (u Usage, err error) {
	cmd, _ := p.now()
	if cmd == nil {
		return u, errors.New(p.Name + " was not started")
	}
	dir := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // from the third field, state, on
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return u, fmt.Errorf("%sstat has %d fields", dir, len(fields))
	}
	var n [3]int64
	for i, f := range []int{11, 12, 21} { // utime, stime, rss: proc_pid_stat(5)
		if n[i], err = strconv.ParseInt(fields[f], 10, 64); err != nil {
			return u, err
		}
	}
	return Usage{CPU: time.Duration(n[0]+n[1]) * tick, RSS: n[2] * int64(os.Getpagesize())}, nil
}
