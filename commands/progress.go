package commands

import (
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/output"
)

// progress prints what Consul shows of a request that is under way, each time it changes.
type progress struct {
	out    *output.Stream // nil: nothing is printed
	began  time.Time
	before cluster.View
	last   string
}

// progress returns what prints the changes since a view. quiet: it prints nothing.
func (p *program) progress(before cluster.View, quiet bool) *progress {
	s := &progress{out: p.out, began: time.Now(), before: before}
	if quiet {
		s.out = nil
	}
	return s
}

// showTimeout bounds a line of the progress: a reader that stopped must not keep a request from being withdrawn in time.
const showTimeout = 100 * time.Millisecond

// show prints how far the request is, if that has changed. An error of the output does not end the request.
func (s *progress) show(v cluster.View) {
	text := stage(s.before, v)
	if s.out == nil || text == "" || text == s.last {
		return
	}
	line := fmt.Sprintf("%10s  %s\n", milliseconds(time.Since(s.began)), printable(text))
	if s.last == "" {
		line = "since the command:\n" + line
	}
	s.last = text
	_ = s.out.WriteWithin(showTimeout, []byte(line)) // it shows at the end, when the result is printed
}

// stage is how far a request for another master is; empty: it has not begun, or is done.
func stage(before, now cluster.View) string {
	switch m := now.State.Master; {
	case m != nil && m.Term > before.State.Term():
		return m.ID + " is published as the master"
	case now.Session != before.Session && now.Free():
		return "the lock is free"
	case now.Session != before.Session:
		return "the lock is held by " + now.Holder
	case now.Request != nil && now.Request.Accepted:
		return before.Holder + " hands over to " + now.Request.To
	}
	return ""
}
