package commands

import (
	"fmt"
	"io"
	"time"

	"resec/commands/cluster"
)

// progress prints what Consul shows of a request that is under way, each time it changes.
type progress struct {
	w      io.Writer // nil: nothing is printed
	began  time.Time
	before cluster.View
	last   string
}

// progress returns what prints the changes since a view. quiet: it prints nothing.
func (p *program) progress(before cluster.View, quiet bool) *progress {
	s := &progress{w: p.stdout, began: time.Now(), before: before}
	if quiet {
		s.w = nil
	}
	return s
}

// show prints how far the request is, if that has changed. An error of the output does not end the request.
func (s *progress) show(v cluster.View) {
	text := stage(s.before, v)
	if s.w == nil || text == "" || text == s.last {
		return
	}
	if s.last == "" {
		fmt.Fprintln(s.w, "since the command:")
	}
	s.last = text
	fmt.Fprintf(s.w, "%10s  %s\n", milliseconds(time.Since(s.began)), printable(text))
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
