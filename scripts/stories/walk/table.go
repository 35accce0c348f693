package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

// tally is what the rounds of all clusters have shown, by the number of members.
type tally struct {
	sync.Mutex
	by map[int]*sum
}

// sum is that of one size of cluster.
type sum struct {
	clusters, rounds, violations, lost int
	outage, two, listed                worst
	faults                             map[Kind]int
}

// worst is the longest of some times, and where it was seen.
type worst struct {
	time.Duration
	where string
}

func (w *worst) saw(d time.Duration, where string) {
	if d > w.Duration {
		*w = worst{d, where}
	}
}

func (w worst) String() string {
	if w.Duration == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", w.Milliseconds(), w.where)
}

// of is the sum of a size.
func (t *tally) of(members int) *sum {
	if t.by == nil {
		t.by = map[int]*sum{}
	}
	if t.by[members] == nil {
		t.by[members] = &sum{faults: map[Kind]int{}}
	}
	return t.by[members]
}

// cluster counts one cluster.
func (t *tally) cluster(members int) {
	t.Lock()
	defer t.Unlock()
	t.of(members).clusters++
}

// violated counts violations.
func (t *tally) violated(members, n int) {
	t.Lock()
	defer t.Unlock()
	t.of(members).violations += n
}

// round counts one round.
func (t *tally) round(c life) {
	t.Lock()
	defer t.Unlock()
	s, where := t.of(c.Members), fmt.Sprintf("seed %d, %d", c.seed, c.nth)
	s.rounds++
	s.outage.saw(c.saw.Outage.Lasted(), where)
	for _, o := range c.saw.Two {
		s.two.saw(o.Lasted(), where)
	}
	for _, l := range c.saw.Listed {
		s.listed.saw(l.Lasted(), where)
	}
	s.lost += c.saw.lostRightly()
	for _, h := range c.saw.Harms {
		s.faults[h.Kind]++
	}
}

// write draws the table, and reports whether there was no violation in it.
func (t *tally) write(w io.Writer) (clean bool) {
	t.Lock()
	defer t.Unlock()
	sizes := slices.Sorted(maps.Keys(t.by))
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, of func(*sum) string) {
		fmt.Fprint(out, name)
		for _, n := range sizes {
			fmt.Fprint(out, "\t", of(t.by[n]))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "members")
	for _, n := range sizes {
		fmt.Fprint(out, "\t", n)
	}
	fmt.Fprintln(out)
	row("clusters", func(s *sum) string { return strconv.Itoa(s.clusters) })
	row("rounds", func(s *sum) string { return strconv.Itoa(s.rounds) })
	row("violations", func(s *sum) string { return strconv.Itoa(s.violations) })
	row("worst outage, ms", func(s *sum) string { return s.outage.String() })
	row("two writable, worst, ms", func(s *sum) string { return s.two.String() })
	row("two listed, worst, ms", func(s *sum) string { return s.listed.String() })
	row("lost writes, allowed", func(s *sum) string { return strconv.Itoa(s.lost) })
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		row(string(k), func(s *sum) string { return strconv.Itoa(s.faults[k]) })
	}
	_ = out.Flush()
	for _, s := range t.by {
		if s.violations > 0 {
			return false
		}
	}
	return len(t.by) > 0
}
