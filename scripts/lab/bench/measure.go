package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"resec/scripts/lab"
)

// figures are what one run has shown; times in ms.
type figures struct {
	Outage    float64 `json:"outage_ms"`    // longest time without an acknowledged write
	Discovery float64 `json:"discovery_ms"` // until a client finds the new master; 0 if the master stays
	Unlisted  float64 `json:"unlisted_ms"`  // no master to be found, in all
	Two       float64 `json:"two_ms"`       // two accepted writes, in all
	Whole     float64 `json:"whole_ms"`     // from the return of what failed until all replicas are linked
	Lost      int     `json:"lost"`         // acknowledged writes
	Acked     int     `json:"acked"`
	Noise     float64 `json:"noise_ms"` // the writer's longest gap before
}

// recoverFor is what a system may take: Sentinel's failover-timeout is 3 minutes.
const recoverFor = 4 * time.Minute

// measure runs a scenario once, and waits until the cluster has recovered.
func measure(ctx context.Context, s *subject, sc scenario) (f figures, err error) {
	m, err := s.Linked()
	if err != nil {
		return f, err
	}
	prober := lab.StartProber(ctx, s.Redis...)
	defer prober.Stop()
	seen := seek(ctx, s.find)
	defer seen.stop()
	w := lab.Writing{Find: s.find, Dial: s.Here.Dial, Pace: time.Millisecond}.Start(ctx)
	defer w.Stop()
	if err := wrote(ctx, w, 2000); err != nil {
		return f, err
	}
	f.Noise = longest(w, time.Time{}, time.Now()) // what is done before is none
	if sc.before != nil {
		if err := errors.Join(sc.before(s, m), wrote(ctx, w, 3000)); err != nil {
			return f, err
		}
	}
	at := time.Now()
	if err := sc.do(ctx, s, m); err != nil {
		return f, err
	}
	old := s.Redis[m].Addr
	if err := recovered(ctx, s, sc, w, seen, old, at); err != nil {
		return f, fmt.Errorf("%w: %v", err, w.Errors())
	}
	back := time.Now()
	if sc.undo != nil {
		if err := sc.undo(s, m); err != nil {
			return f, err
		}
	}
	if err := s.whole(recoverFor); err != nil {
		return f, err
	}
	f.Whole = ms(time.Since(back))
	w.Stop()
	prober.Stop()
	seen.stop()
	f.Outage, f.Acked = longest(w, at, time.Now()), w.Acked()
	f.Unlisted, f.Discovery = seen.since(at, old)
	for _, o := range prober.Overlaps() {
		f.Two += max(1, ms(o.Lasted())) // an instant is one, too
	}
	if s.traced {
		s.trace(os.Stderr, at, time.Duration(f.Outage)*time.Millisecond)
	}
	now, err := s.Master()
	if err != nil {
		return f, err
	}
	lost, err := w.LostOn(s.Redis[now])
	f.Lost = len(lost)
	return f, errors.Join(err, w.Erase(s.Redis[now]))
}

func wrote(ctx context.Context, w *lab.Writer, n int) error {
	return lab.Until(ctx, 30*time.Second, func() error { return w.Wrote(n) })
}

// recovered waits until the client writes again, to another master if the scenario changes it.
func recovered(ctx context.Context, s *subject, sc scenario, w *lab.Writer, seen *seeker, old string, at time.Time) error {
	if err := lab.Until(ctx, recoverFor, func() error {
		if d := sc.lasts - time.Since(at); d > 0 {
			return fmt.Errorf("it lasts for %s more", d)
		}
		if now := seen.now(); !(sc.stays || sc.keeps && !s.ours()) && (now == "" || now == old) {
			return fmt.Errorf("%s: the master is still %q", s.name, now)
		}
		return nil
	}); err != nil {
		return err
	}
	n := w.Acked()
	return lab.Until(ctx, recoverFor, func() error { return w.Wrote(n + 500) })
}

// longest is the longest time between two acknowledged writes that ends between two moments.
func longest(w *lab.Writer, from, to time.Time) (d float64) {
	for _, g := range w.Gaps(0) {
		if g.To.After(from) && g.To.Before(to) {
			d = max(d, ms(g.Lasted()))
		}
	}
	return d
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
