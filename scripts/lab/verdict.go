package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Verdict is what a Watch has seen.
type Verdict struct {
	Lasted  time.Duration
	Settled error          // nil if the cluster has settled in the end
	Unknown error          // why it is not known what is lost
	Acked   int            // writes that were acknowledged
	Lost    []Ack          // of those, the ones that the present master does not have
	Missing map[string]int // how many a linked replica does not have, by its name
	Two     []Overlap      // times in which two servers accepted writes
	Listed  []Interval     // times in which two passing masters were listed
	None    []Interval     // times in which none was
	Resyncs int            // full ones
	Outage  Interval       // the longest time without an acknowledged write
	Errors  map[string]int // what writes failed with
}

// String is one line.
func (v Verdict) String() string {
	words := []string{fmt.Sprintf("%.1f s", v.Lasted.Seconds())}
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if v.Settled != nil {
		say("NOT settled: %s", strings.ReplaceAll(v.Settled.Error(), "\n", "; "))
	}
	if v.Unknown != nil {
		say("losses unknown: %s", strings.ReplaceAll(v.Unknown.Error(), "\n", "; "))
	}
	say("%d of %d writes lost", len(v.Lost), v.Acked)
	for _, name := range slices.Sorted(maps.Keys(v.Missing)) {
		if n := v.Missing[name]; n > 0 {
			say("%d missing on %s", n, name)
		}
	}
	say("outage %.0f ms", milli(v.Outage.Lasted()))
	say("two accepted %s", times(v.Two, func(o Overlap) Interval { return o.Interval }))
	say("two listed %s", times(v.Listed, same))
	say("none listed %s", times(v.None, same))
	say("%d full resyncs", v.Resyncs)
	for _, name := range slices.Sorted(maps.Keys(v.Errors)) {
		say("%d %s", v.Errors[name], name)
	}
	return strings.Join(words, ", ")
}

func same(i Interval) Interval { return i }

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// times is the number of intervals and the longest of them.
func times[T any](all []T, of func(T) Interval) string {
	if len(all) == 0 {
		return "never"
	}
	return fmt.Sprintf("%d× (longest %.0f ms)", len(all), milli(longest(all, of)))
}

func longest[T any](all []T, of func(T) Interval) (d time.Duration) {
	for _, x := range all {
		d = max(d, of(x).Lasted())
	}
	return d
}

// Sound returns an error if a write was lost, or if there were two masters.
func (v Verdict) Sound() error {
	return errors.Join(v.Settled, v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(0))
}

// NothingLost returns nil if the master has every acknowledged write, and each linked replica too.
func (v Verdict) NothingLost() error {
	if v.Unknown != nil {
		return fmt.Errorf("what is lost is not known: %w", v.Unknown)
	}
	for name, n := range v.Missing {
		if n > 0 {
			return fmt.Errorf("%d acknowledged writes are missing on %s, a linked replica; %d on its master", n, name, len(v.Lost))
		}
	}
	if len(v.Lost) > 0 {
		return fmt.Errorf("%d of %d acknowledged writes are lost, the first %s before the end", len(v.Lost), v.Acked, time.Since(v.Lost[0].At).Round(time.Millisecond))
	}
	return nil
}

// LostOnlyBetween returns nil if every lost write was acknowledged within the two moments: what the replicas had not
// received when the master died may be lost.
func (v Verdict) LostOnlyBetween(from, to time.Time) error {
	if v.Unknown != nil {
		return fmt.Errorf("what is lost is not known: %w", v.Unknown)
	}
	for _, a := range v.Lost {
		if a.At.Before(from) || a.At.After(to) {
			return fmt.Errorf("write %d is lost, which was acknowledged %s after the fault's begin", a.N, a.At.Sub(from))
		}
	}
	for name, n := range v.Missing {
		if n > len(v.Lost) {
			return fmt.Errorf("%d acknowledged writes are missing on %s, a linked replica; %d on its master", n, name, len(v.Lost))
		}
	}
	return nil
}

// NeverTwo returns nil if two servers accepted writes for no longer than that at a time; with 0 not for an instant.
func (v Verdict) NeverTwo(most time.Duration) error {
	for _, o := range v.Two {
		if most == 0 || o.Lasted() > most {
			return fmt.Errorf("two accepted writes, %d×: %s", len(v.Two), o)
		}
	}
	return nil
}

// NeverTwoListed returns nil if two passing masters were listed for no longer than that; with 0 not in one answer.
func (v Verdict) NeverTwoListed(most time.Duration) error {
	for _, i := range v.Listed {
		if most == 0 || i.Lasted() > most {
			return fmt.Errorf("two passing masters were listed, %d×, for %s", len(v.Listed), i.Lasted())
		}
	}
	return nil
}

// OutageWithin returns nil if a write was acknowledged at least that often.
func (v Verdict) OutageWithin(most time.Duration) error {
	if d := v.Outage.Lasted(); d > most {
		return fmt.Errorf("no write was acknowledged for %s: %v", d, v.Errors)
	}
	return nil
}

// NoResync returns nil if every resync was a partial one.
func (v Verdict) NoResync() error {
	if v.Resyncs > 0 {
		return fmt.Errorf("%d full resyncs", v.Resyncs)
	}
	return nil
}
