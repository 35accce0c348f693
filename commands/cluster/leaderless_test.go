package cluster

import (
	"testing"
	"time"
)

func TestLeaderless(t *testing.T) {
	t0 := time.Now()
	sec := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	var l Leaderless
	quiet := func(what string, at time.Time, want int) {
		t.Helper()
		if got := l.QuietFor(at); got != time.Duration(want)*time.Second {
			t.Errorf("%s: quiet for %s, want %d s", what, got, want)
		}
	}
	l = l.Advance(situation(), sec(0))
	quiet("while another agent holds the lock", sec(9), 0)
	l = l.Advance(situation(lockFree), sec(10))
	quiet("before the first survey", sec(13), 0)
	l = l.Observe(false, sec(14)).Observe(false, sec(16))
	quiet("since the first survey without a recorded run", sec(16), 2)
	l = l.Observe(true, sec(17))
	quiet("a survey with a recorded run ends it", sec(19), 0)
	l = l.Advance(situation(lockFree), sec(19)).Observe(false, sec(20))
	quiet("it begins again", sec(21), 1)
	l = l.Advance(situation(holdingLock), sec(22))
	quiet("also while we hold the lock and may fail to lead", sec(22), 2)
	l = l.Advance(situation(func(k *Snapshot) { k.Fresh = false }), sec(23))
	quiet("an outage of Consul changes nothing", sec(23), 3)
	l = l.Advance(situation(), sec(24))
	quiet("another agent holds the lock again", sec(25), 0)
	if l = l.Advance(situation(lockFree), sec(30)); l.Since != sec(30) {
		t.Errorf("an earlier leaderless period counts: since %s", l.Since)
	}
	unseen := func(k *Snapshot) { m := *k.View.State.Master; m.Term++; k.View.State.Master = &m }
	if l = l.Observe(false, sec(31)).Advance(situation(lockFree, unseen), sec(32)); l.Since != sec(32) || l.QuietFor(sec(33)) != 0 {
		t.Errorf("a leaderless period before a term that was over before we saw it counts: since %s", l.Since)
	}
}
