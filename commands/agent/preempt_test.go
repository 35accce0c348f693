package agent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/lock"
	"resec/commands/member"
	"resec/scripts/lab"
)

// A failure is proven by surveys alone, and a master that answers to one has not failed.
func TestProveFailure(t *testing.T) {
	t.Parallel()
	a, r := onServers(t)
	a.EarlyTakeover = true
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	_, err = r.Do("REPLICAOF", other.Host, "6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return r.Follows(other) })
	runID, err := other.Info("run_id")
	ok(t, err)
	k := situation(func(k *cluster.Snapshot) {
		k.Health.Status = status(t, a.local)
		k.View.State.Master.RunID, k.View.State.Master.Address = runID, other.Addr
		k.View.State.Histories = []string{k.Health.Status.Position.ReplID}
		k.View.State.Members = map[string]cluster.MemberRecord{"a": {RunID: runID, Address: other.Addr, InSyncTerm: 4},
			"me": {RunID: k.Health.Status.RunID, Address: a.Me.Address, InSyncTerm: 4}}
		k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", RunID: k.Health.Status.RunID}}
		k.Failure = cluster.MasterFailure{RunID: runID, Unreachable: true, Since: time.Now()}
	})
	a.known.Update(func(is *member.Snapshot) { *is = k })
	c := &contender{a: a, evidence: cluster.NewFailureEvidence(k.Snapshot)}
	again, err := c.proveFailure(t.Context(), k)
	if again != cluster.SurveyInterval || err != nil {
		t.Errorf("it answers: %s, %v", again, err)
	}
	equal(t, "the failure is forgotten", a.known.Load().Failure, cluster.MasterFailure{})
	equal(t, "parked", status(t, a.local).Parked(), false)

	other.Kill()
	again, err = c.proveFailure(t.Context(), k)
	if again <= 0 || again > cluster.ConfirmDownDelay || err != nil {
		t.Errorf("it was found down once: %s, %v", again, err)
	}
	equal(t, "parked", status(t, a.local).Parked(), true)
	lab.Eventually(t, patience, func() error {
		again, err := c.proveFailure(t.Context(), k)
		if err == nil && again > 0 {
			err = fmt.Errorf("it is to be asked again after %s", again)
		}
		return err
	})
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.proveFailure(ended, k); err == nil {
		t.Error("no member was asked")
	}
}

// A successor that has begun to change our Redis, or a session that is not ours any more, forbids to take the lock again.
func TestRedisUntouched(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	h := &handover{c: newController(a), session: &lock.Session{ID: "mine"}}
	untouched := func(k member.Snapshot) bool { return h.redisUntouched(t.Context(), k) }
	equal(t, "as we left it", untouched(leading()), true)
	equal(t, "our session is lost", untouched(leading(clustertest.WithoutSession)), false)
	ok(t, a.local.FenceAfterLoss(t.Context()))
	equal(t, "fenced", untouched(leading()), false)
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	ok(t, err)
	ok(t, a.local.Park(t.Context()))
	equal(t, "parked", untouched(leading()), false)
	_, err = r.Do("REPLICAOF", "NO", "ONE")
	ok(t, err)
	equal(t, "a master again", untouched(leading()), true)
	r.Kill()
	equal(t, "down", untouched(leading()), false)
}

// If the lock changes while it is taken again, the handover looks again.
func TestTryReclaim_Changed(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	s, theirs := session(t, a), session(t, a)
	k := a.publish(t, s, "me")
	ok(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
	free, err := a.Lock.Read(t.Context())
	ok(t, err)
	acquire(t, a, theirs, "b", master("b", "run-b", 2))
	k.View = free
	h := &handover{c: newController(a), session: s, transferred: true}
	progress, end, err := h.tryReclaim(t.Context(), k)
	if progress || end || err != nil || !h.transferred {
		t.Errorf("got %t, %t, %v", progress, end, err)
	}
	v, err := a.Lock.Read(t.Context())
	ok(t, err)
	equal(t, "holder", v.Holder, "b")
}
