package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"resec/scripts/lab"
)

// Violations are those of the invariants of scripts/README.md that a round has shown.
func (s Sight) Violations() (bad []error) {
	say := func(invariant, format string, args ...any) {
		bad = append(bad, fmt.Errorf(invariant+": "+format, args...))
	}
	for _, o := range s.Two {
		if !s.mayBeTwo(member(o.A), member(o.B), o.Interval) {
			say("I1", "two accepted writes: %s, from %s to %s", o, s.at(o.From), s.at(o.To))
		}
	}
	for _, l := range s.Listed {
		if !s.mayBeListed(l) {
			say("I2", "two passing masters were listed for %s, from %s to %s", l.Lasted(), s.at(l.From), s.at(l.To))
		}
	}
	if s.Settled != nil {
		say("I5", "%w", s.Settled)
	} else {
		bad = append(bad, s.losses()...)
		if s.Kept != nil {
			say("I4", "%w", s.Kept)
		}
		if s.Tidy != nil {
			say("I6", "%w", s.Tidy)
		}
		if s.Views != nil {
			say("views", "%w", s.Views)
		}
	}
	if err := errors.Join(append(s.Bad, s.Running)...); err != nil {
		say("also", "%w", err)
	}
	return bad
}

// losses are those of writes that may not be lost.
func (s Sight) losses() (bad []error) {
	if s.Unknown != nil {
		return []error{fmt.Errorf("I3: what is lost is not known: %w", s.Unknown)}
	}
	may := s.mayLose()
	if wrong := s.lostWrongly(may); len(wrong) > 0 {
		var windows []string
		for _, i := range may {
			windows = append(windows, s.at(i.From)+" to "+s.at(i.To))
		}
		bad = append(bad, fmt.Errorf("I3: %d of %d lost writes may not be lost, acknowledged from %s to %s; those may that were from %s",
			len(wrong), len(s.Lost), s.at(wrong[0].At), s.at(wrong[len(wrong)-1].At), cmp.Or(strings.Join(windows, ", "), "never on")))
	}
	for name, n := range s.Missing {
		if n > len(s.Lost) {
			bad = append(bad, fmt.Errorf("I3: %d writes are missing on %s, a linked replica, and %d on its master", n, name, len(s.Lost)))
		}
	}
	return bad
}

// lostWrongly are the lost writes that were acknowledged at another time.
func (s Sight) lostWrongly(may []lab.Interval) (wrong []lab.Ack) {
	for _, a := range s.Lost {
		if !slices.ContainsFunc(may, func(i lab.Interval) bool { return !a.At.Before(i.From) && !a.At.After(i.To) }) {
			wrong = append(wrong, a)
		}
	}
	return wrong
}

// lostRightly is how many of the lost writes may be lost.
func (s Sight) lostRightly() int { return len(s.Lost) - len(s.lostWrongly(s.mayLose())) }

// member is the index in a server's name.
func member(name string) (i int) {
	_, n, _ := strings.Cut(name, "-redis")
	_, _ = fmt.Sscan(n, &i)
	return i
}
