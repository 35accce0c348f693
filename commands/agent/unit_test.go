package agent

import (
	"errors"
	"syscall"
	"testing"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/scripts/lab"
)

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
	equal(t, "more to do", moved, false)
	equal(t, "guard", status(t, a.local).MinReplicas, 0)
	equal(t, "published", a.known.Load().View.State.Guard().Replicas, 0)
	term.term.RunID = "run-old"
	if moved, err = g.tryStep(t.Context(), a.known.Load()); moved || err != nil {
		t.Errorf("another instance: %t, %v", moved, err)
	}
	ok(t, a.local.FenceAfterLoss(t.Context()))
	term.term.RunID = k.Health.Status.RunID
	term.session = &lock.Session{ID: s.ID, Lease: lock.Lease{&lock.RenewalDeadline{}}}
	if moved, err = g.tryStep(t.Context(), a.known.Load()); moved || !errors.Is(err, lock.ErrLease) {
		t.Errorf("without a lease: %t, %v", moved, err)
	}
	equal(t, "fenced", status(t, a.local).Fenced(), true)
}

// Only a server that streams our history, and is no member, is parked.
func TestParkUnlessMember(t *testing.T) {
	t.Parallel()
	a, own := onServers(t)
	k := a.leads(t, 1)
	term := &leaderTerm{a: a}
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	park := func() error { return term.parkUnlessMember(t.Context(), k, other.Addr) }
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("a master: %v", err)
	}
	_, err = other.Do("REPLICAOF", own.Host, "6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return other.Follows(own) })
	k.Health.Status = status(t, a.local)
	runID, err := other.Info("run_id")
	ok(t, err)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID}
	ok(t, park())
	ok(t, other.Follows(own)) // it is a member
	delete(k.View.State.Members, "b")
	recorded := situation(func(k *cluster.Snapshot) { k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID} })
	a.known.Update(func(is *known.Snapshot) { is.View = recorded.View })
	ok(t, park())
	ok(t, other.Follows(own)) // it was recorded meanwhile
	a.known.Update(func(is *known.Snapshot) { *is = k })
	of := k.Health.Status.Position.ReplID
	k.Health.Status.Position.ReplID = "another"
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("of another history: %v", err)
	}
	k.Health.Status.Position.ReplID = of
	ok(t, park())
	ok(t, other.Is("master_host", "127.0.0.1", "master_port", "1"))
	other.Kill()
	if err := park(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is down: %v", err)
	}
}
