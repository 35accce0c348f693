package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/handlers"
)

// The published master must still hold the lock before our Redis follows it.
func TestConfirmHolder(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	k := known.Snapshot{}
	k.View = acquire(t, a, s, "b", master("b", "run-b", 1))
	ok(t, a.confirmHolder(t.Context(), k))
	restarted := k
	restarted.View.State.Master = master("b", "run-old", 1)
	if err := a.confirmHolder(t.Context(), restarted); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("another instance: %v", err)
	}
	ok(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is free: %v", err)
	}
	a.Lock.Client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, errUnconfirmed) {
		t.Errorf("consul does not answer: %v", err)
	}
}

// A text that is logged once must not change from one try to the next.
func TestFollowFailure(t *testing.T) {
	refused := fmt.Errorf("%w: its data are newer", handlers.ErrRefused)
	equal(t, "refused", followFailure(refused), refused.Error())
	equal(t, "unconfirmed", followFailure(fmt.Errorf("%w: port 34567", errUnconfirmed)), errUnconfirmed.Error())
	equal(t, "other", followFailure(context.DeadlineExceeded), "it does not answer")
}

// Nothing is put right on a Redis that is a master, down, or whose cluster is paused: without a server any attempt panics.
func TestReconcile_LeavesAlone(t *testing.T) {
	writable := func(k *cluster.Snapshot) { k.Health.Status.ReplicaWritable = true }
	for name, k := range map[string]known.Snapshot{
		"a replica as it should be": situation(operators("run-me", 0, 0)),
		"a master":                  leading(writable),
		"one that is down":          situation(writable, failing(errors.New("down"))),
		"one not probed yet":        situation(writable, func(k *cluster.Snapshot) { k.Probed = false }),
		"in a pause":                situation(writable, func(k *cluster.Snapshot) { k.Paused = true }),
		"settings not persisted":    situation(operators("run-me", 1, 10)),
		"a fenced one":              situation(operators("run-me", 1, 10), persisted(1, 10), clustertest.FencedRedis),
		"another instance":          situation(operators("run-old", 1, 10), persisted(1, 10)),
	} {
		t.Run(name, func(*testing.T) { newController(bareAgent()).reconcile(t.Context(), k) })
	}
}

// persisted sets the operator's settings as our member key in Consul has them.
func persisted(replicas, maxLag int) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) {
		k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", RunID: "run-me", OperatorGuard: cluster.MinReplicas{Replicas: replicas, MaxLag: maxLag}}}
	}
}
