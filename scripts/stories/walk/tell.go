package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// life is that of one cluster, in its nth round.
type life struct {
	setting
	seed  uint64
	dir   string
	nth   int
	steps []Step
	saw   Sight
}

// violated prints violations, and what helps to understand them.
func (w *walk) violated(c life, bad ...error) error {
	w.tally.violated(c.Members, len(bad))
	var out strings.Builder
	fmt.Fprintf(&out, "VIOLATED in round %d of seed %d, n=%d: %s\n", c.nth, c.seed, c.Members, c.setting)
	for _, err := range bad {
		fmt.Fprintf(&out, "  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n    "))
	}
	again := fmt.Sprintf("scripts/soak --walk 1m -seed %d -n %d", c.seed, c.Members)
	if w.draws {
		again += " -settings"
	}
	w.say("%s%s  logs: %s\n  again: %s", &out, c.story(), c.dir, again)
	return nil
}

// story is what was drawn, done and seen in the round.
func (c life) story() string {
	var out strings.Builder
	fmt.Fprintf(&out, "  verdict: %s\n", c.saw.Verdict)
	for _, s := range c.steps {
		fmt.Fprintf(&out, "  drawn: %s\n", s)
	}
	fmt.Fprintf(&out, "  the round began at %s; this machine was late by %s at most\n%s", c.saw.Began.Format("15:04:05.000"), c.saw.Noise, c.saw.happened())
	return out.String()
}

// at is a moment of the round.
func (s Sight) at(t time.Time) string { return fmt.Sprintf("%+.3f s", t.Sub(s.Began).Seconds()) }

// happened is what was done and seen in a round, in order of time: a line for each.
func (s Sight) happened() string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	say := func(at time.Time, format string, args ...any) {
		lines = append(lines, line{at, fmt.Sprintf(format, args...)})
	}
	for _, h := range slices.Concat(s.Harms, s.Skipped) {
		say(h.From, "%s, until %s", h, s.at(h.Until))
	}
	for _, at := range s.Whole {
		say(at, "the cluster is whole")
	}
	for i, all := range s.Accepted {
		for _, a := range all {
			say(a.From, "m%d accepts writes, until %s", i, s.at(a.To))
		}
	}
	for _, i := range s.None {
		say(i.From, "no master is listed, until %s", s.at(i.To))
	}
	if n := len(s.Lost); n > 0 {
		say(s.Lost[0].At, "the first of %d lost writes is acknowledged", n)
		say(s.Lost[n-1].At, "the last of them is")
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	var out strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&out, "    %s  %s\n", s.at(l.at), l.text)
	}
	return out.String()
}

// summary is a line of the faults.
func (s Sight) summary() string {
	var words []string
	for _, h := range s.Harms {
		words = append(words, fmt.Sprintf("%s %.1f s", h, h.Until.Sub(h.From).Seconds()))
	}
	return strings.Join(words, ", ")
}
