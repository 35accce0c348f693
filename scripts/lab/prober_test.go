package lab_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// accepts returns nil once the server has accepted a try since the moment.
func accepts(p *lab.Prober, r *lab.Redis, since time.Time) error {
	all := p.Accepted()[r.Name]
	if len(all) == 0 || all[len(all)-1].To.Before(since) {
		return fmt.Errorf("%s accepts nothing", r.Name)
	}
	return nil
}

func TestProber_TwoMasters(t *testing.T) {
	t.Parallel()
	a, b := redis(t, "a"), redis(t, "b", "--requirepass", "secret")
	offset, err := a.Info("master_repl_offset")
	ok(t, err)
	p := lab.StartProber(t.Context(), a)
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, a, time.Now().Add(-time.Second)) })
	began := time.Now()
	p.Add(b)
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, b, began.Add(300*time.Millisecond)) })
	do(t, b, "REPLICAOF", a.Host, "6379")
	ended := time.Now()
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, a, ended.Add(100*time.Millisecond)) })
	p.Stop()
	o := p.Overlaps()
	if len(o) != 1 || o[0].A != "a" || o[0].B != "b" || o[0].From.Before(began) || o[0].To.After(ended) || o[0].Lasted() < 250*time.Millisecond {
		t.Errorf("two masters were seen as %v, between %s and %s", o, began, ended)
	}
	if err := a.Is("master_repl_offset", offset, "db0", ""); err != nil {
		t.Errorf("the prober left a trace: %v", err)
	}
}

// A master that is fenced before the fence of the next one is lifted is never two, however fast they change.
func TestProber_HandedOver(t *testing.T) {
	t.Parallel()
	rs := []*lab.Redis{redis(t, "a"), redis(t, "b", "--min-replicas-to-write", "1")}
	p := lab.StartProber(t.Context(), rs...)
	for round := range 30 {
		from, to := rs[round%2], rs[1-round%2]
		began := time.Now()
		lab.Eventually(t, 5*time.Second, func() error { return accepts(p, from, began) })
		do(t, from, "CONFIG", "SET", "min-replicas-to-write", "1")
		do(t, to, "CONFIG", "SET", "min-replicas-to-write", "0")
	}
	p.Stop()
	if o := p.Overlaps(); len(o) != 0 {
		t.Errorf("one after the other was seen as two: %v", o)
	}
	if n := len(p.Accepted()["a"]); n != 15 && n != 16 { // the last lift is seen or not
		t.Errorf("15 times of a were seen as %d", n)
	}
}

// What a frozen server accepts, it accepts when it is thawed. One that is killed is probed again when it is back.
func TestProber_FrozenAndKilled(t *testing.T) {
	t.Parallel()
	a, b := redis(t, "a"), redis(t, "b")
	p := lab.StartProber(t.Context(), a)
	began := time.Now()
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, a, began) })
	a.Freeze()
	frozen := time.Now()
	p.Add(b)
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, b, frozen.Add(500*time.Millisecond)) })
	if o := p.Overlaps(); len(o) != 0 {
		t.Errorf("a frozen server accepts: %v", o)
	}
	thawed := time.Now()
	a.Thaw()
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, a, thawed.Add(100*time.Millisecond)) })
	a.Kill()
	killed := time.Now()
	if o := p.Overlaps(); len(o) != 1 || o[0].From.Before(thawed) || o[0].To.After(killed) {
		t.Errorf("a thawed server was seen as %v", o)
	}
	ok(t, a.RestartEmpty())
	lab.Eventually(t, 5*time.Second, func() error { return accepts(p, a, killed.Add(500*time.Millisecond)) })
	p.Stop()
	if o := p.Overlaps(); len(o) != 2 {
		t.Errorf("a restarted server was seen as %v", o)
	}
}
