package agent

import (
	"testing"

	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/lock"
)

// A successor that has begun to change our Redis, or a session that is not ours any more, forbids to take the lock again.
func TestRedisUntouched(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	h := &handover{c: newController(a), session: &lock.Session{ID: "mine"}}
	untouched := func(k known.Snapshot) bool { return h.redisUntouched(t.Context(), k) }
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
