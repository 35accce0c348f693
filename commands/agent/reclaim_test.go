package agent

import (
	"testing"

	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
)

// A successor that has begun to change our Redis, or a session that is not ours any more, forbids to take the lock again.
func TestRedisUntouched(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	h := &handover{c: newController(a), session: &lock.Session{ID: "mine"}}
	untouched := func(k known.Snapshot) bool { return h.redisUntouched(t.Context(), k) }
	expect.Equal(t, "as we left it", untouched(leading()), true)
	expect.Equal(t, "our session is lost", untouched(leading(clustertest.WithoutSession)), false)
	expect.OK(t, a.local.FenceAfterLoss(t.Context()))
	expect.Equal(t, "fenced", untouched(leading()), false)
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	expect.OK(t, err)
	expect.OK(t, a.local.Park(t.Context()))
	expect.Equal(t, "parked", untouched(leading()), false)
	_, err = r.Do("REPLICAOF", "NO", "ONE")
	expect.OK(t, err)
	expect.Equal(t, "a master again", untouched(leading()), true)
	r.Kill()
	expect.Equal(t, "down", untouched(leading()), false)
}

// If the lock changes while it is taken again, the handover looks again.
func TestTryReclaim_Changed(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	s, theirs := session(t, a), session(t, a)
	k := a.publish(t, s, "me")
	expect.OK(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
	free, err := a.Lock.Read(t.Context())
	expect.OK(t, err)
	acquire(t, a, theirs, "b", master("b", "run-b", 2))
	k.View = free
	h := &handover{c: newController(a), session: s, transferred: true}
	progress, end, err := h.tryReclaim(t.Context(), k)
	if progress || end || err != nil || !h.transferred {
		t.Errorf("got %t, %t, %v", progress, end, err)
	}
	v, err := a.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "holder", v.Holder, "b")
}
