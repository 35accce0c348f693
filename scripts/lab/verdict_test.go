package lab_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	now := time.Now()
	span := func(ms time.Duration) lab.Interval {
		return lab.Interval{From: now, To: now.Add(ms * time.Millisecond)}
	}
	instant := lab.Interval{From: now, To: now.Add(-time.Microsecond)}
	nothingLost, sound := lab.Verdict.NothingLost, lab.Verdict.Sound
	two := func(ms time.Duration) func(lab.Verdict) error {
		return func(v lab.Verdict) error { return v.NeverTwo(ms * time.Millisecond) }
	}
	listed := func(ms time.Duration) func(lab.Verdict) error {
		return func(v lab.Verdict) error { return v.NeverTwoListed(ms * time.Millisecond) }
	}
	between := func(from, to time.Duration) func(lab.Verdict) error {
		return func(v lab.Verdict) error { return v.LostOnlyBetween(now.Add(from), now.Add(to)) }
	}
	outage := func(v lab.Verdict) error { return v.OutageWithin(time.Second) }
	lost, missing := []lab.Ack{{N: 1, At: now}}, map[string]int{"r": 1}
	for name, c := range map[string]struct {
		v    lab.Verdict
		look func(lab.Verdict) error
		fine bool
	}{
		"all is well":           {lab.Verdict{}, sound, true},
		"not settled":           {lab.Verdict{Settled: errors.New("x")}, sound, false},
		"unknown":               {lab.Verdict{Unknown: errors.New("x")}, nothingLost, false},
		"lost":                  {lab.Verdict{Lost: lost}, nothingLost, false},
		"missing on a replica":  {lab.Verdict{Missing: missing}, nothingLost, false},
		"none missing":          {lab.Verdict{Missing: map[string]int{"r": 0}}, nothingLost, true},
		"lost in between":       {lab.Verdict{Lost: lost, Missing: missing}, between(-1, 1), true},
		"lost before":           {lab.Verdict{Lost: lost}, between(1, 2), false},
		"lost after":            {lab.Verdict{Lost: lost}, between(-2, -1), false},
		"lost, unknown":         {lab.Verdict{Unknown: errors.New("x")}, between(-1, 1), false},
		"lost on a replica":     {lab.Verdict{Missing: missing}, between(-1, 1), false},
		"an instant, never":     {lab.Verdict{Two: []lab.Overlap{{Interval: instant}}}, two(0), false},
		"an instant is allowed": {lab.Verdict{Two: []lab.Overlap{{Interval: instant}}}, two(10), true},
		"two for too long":      {lab.Verdict{Two: []lab.Overlap{{Interval: instant}, {Interval: span(20)}}}, two(10), false},
		"listed, never":         {lab.Verdict{Listed: []lab.Interval{span(0)}}, listed(0), false},
		"listed for a moment":   {lab.Verdict{Listed: []lab.Interval{span(9)}}, listed(10), true},
		"listed for too long":   {lab.Verdict{Listed: []lab.Interval{span(11)}}, listed(10), false},
		"an outage":             {lab.Verdict{Outage: span(1001)}, outage, false},
		"a short outage":        {lab.Verdict{Outage: span(999)}, outage, true},
		"a full resync":         {lab.Verdict{Resyncs: 1}, lab.Verdict.NoResync, false},
	} {
		if err := c.look(c.v); (err == nil) != c.fine {
			t.Errorf("%s: %v: %s", name, err, c.v)
		}
	}
}

func TestVerdict_String(t *testing.T) {
	t.Parallel()
	now := time.Now()
	span := lab.Interval{From: now, To: now.Add(1500 * time.Millisecond)}
	v := lab.Verdict{Lasted: 12345 * time.Millisecond, Settled: errors.New("a\nb"), Acked: 7, Lost: make([]lab.Ack, 2),
		Missing: map[string]int{"r1": 0, "r2": 3}, Two: []lab.Overlap{{A: "r1", B: "r2", Interval: span}}, None: []lab.Interval{span, span},
		Outage: span, Resyncs: 1, Errors: map[string]int{"READONLY": 2}}
	want := "12.3 s, NOT settled: a; b, 2 of 7 writes lost, 3 missing on r2, outage 1500 ms, two accepted 1× (longest 1500 ms), " +
		"two listed never, none listed 2× (longest 1500 ms), 1 full resyncs, 2 READONLY"
	if got := v.String(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
