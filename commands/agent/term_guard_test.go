package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
)

func TestGuardKeeper_Interval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect.Equal(t, "usually", (&guardKeeper{}).interval(), guardInterval)
		expect.Equal(t, "with more unknown replicas", (&guardKeeper{unknown: cluster.UnknownReplicas{Since: time.Now()}}).interval(),
			cluster.UnknownReplicaGrace/3)
		expect.Equal(t, "with more unknown replicas, while redis denies access",
			(&guardKeeper{unknown: cluster.UnknownReplicas{Since: time.Now()}, silent: true}).interval(), guardInterval)
		g := &guardKeeper{alert: time.Now().Add(alertPeriod), unknown: cluster.UnknownReplicas{Since: time.Now()}}
		expect.Equal(t, "after a replica was lost", g.interval(), alertInterval)
		<-time.After(alertPeriod)
		expect.Equal(t, "later", g.interval(), cluster.UnknownReplicaGrace/3)
	})
}

// A guard that cannot be published is tried again at the next turn, not at once.
func TestGuardKeeper_PublishFails(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	s, other := session(t, a), session(t, a)
	k := a.publish(t, s, "me")
	term := newLeaderTerm(newController(a), k)
	term.term.RunID, term.term.Session, term.term.Number = k.Health.Status.RunID, other.ID, 1
	g := &guardKeeper{t: term, unknown: cluster.UnknownReplicas{Count: -1}}
	moved, err := g.tryStep(t.Context(), k)
	if moved || !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is another's: %t, %v", moved, err)
	}
	term.term.Session = s.ID
	for range 3 { // published, set, done
		if moved, err = g.tryStep(t.Context(), a.known.Load()); err != nil {
			t.Fatal(err)
		}
	}
	expect.Equal(t, "more to do", moved, false)
	expect.Equal(t, "guard", status(t, a.local).MinReplicas, 0)
	expect.Equal(t, "published", a.known.Load().View.State.Guard().Replicas, 0)
	term.term.RunID = "run-old"
	if moved, err = g.tryStep(t.Context(), a.known.Load()); moved || err != nil {
		t.Errorf("another instance: %t, %v", moved, err)
	}
	expect.OK(t, a.local.FenceAfterLoss(t.Context()))
	term.term.RunID = k.Health.Status.RunID
	term.session = &lock.Session{ID: s.ID, Lease: lock.Lease{&lock.RenewalDeadline{}}}
	if moved, err = g.tryStep(t.Context(), a.known.Load()); moved || !errors.Is(err, lock.ErrLease) {
		t.Errorf("without a lease: %t, %v", moved, err)
	}
	expect.Equal(t, "fenced", status(t, a.local).Fenced(), true)
}
