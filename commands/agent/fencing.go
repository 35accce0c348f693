package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/member"
	"resec/handlers/redis"
)

// stallLimit is for how long this process may not have run without a consequence.
func (a *Agent) stallLimit() time.Duration {
	return cluster.StallLimit(time.Duration(a.Guard.MaxLag)*time.Second, a.Registrar.Interval,
		cluster.DetectionTime(a.Probe, a.EarlyTakeover))
}

// watchStalls fences Redis, if it is the published master, when this process has not run for longer than stallLimit: the
// machine stalled, and Redis with it, so another member may be the master by now. If the network to the replicas is cut,
// Redis itself does not see that they have left. The fence is tried until it is set. The guard's keeper ends it once Consul
// confirms the lock; if Consul is down, unfenceAfterStall does.
func (a *Agent) watchStalls(ctx context.Context) {
	var s stallWatch
	for last := time.Now(); ctx.Err() == nil; last = time.Now() {
		select {
		case <-ctx.Done():
		case <-time.After(cluster.StallCheckInterval):
		}
		s = a.checkStall(ctx, s, time.Since(last))
	}
}

// stallWatch is when a stall ended that still needs a fence, and when one ended that has it; zero: there is none.
type stallWatch struct{ stalled, fenced time.Time }

// stallMove is what the end of a stall needs next.
type stallMove int

const (
	stallOver    stallMove = iota // nothing: there is no stall, or it needs no fence
	forgetStall                   // our Redis is not a master that another member could take over from
	fenceStall                    // the fence is not set yet
	unfenceStall                  // if enough replicas have acknowledged since
)

// next decides by a snapshot.
func (s stallWatch) next(k member.Snapshot) stallMove {
	m := k.View.State.Master
	// No member takes over early from an unreachable master without a guard.
	if m == nil || m.RunID != k.Health.Status.RunID || m.Guard <= 0 {
		return forgetStall
	}
	if k.Paused { // no member takes over meanwhile
		return stallOver
	}
	if !s.stalled.IsZero() {
		return fenceStall
	}
	if !s.fenced.IsZero() {
		return unfenceStall
	}
	return stallOver
}

// checkStall acts on what is known of stalls, after this process did not run for that long.
func (a *Agent) checkStall(ctx context.Context, s stallWatch, stall time.Duration) stallWatch {
	if stall >= a.stallLimit() {
		s.stalled = time.Now()
		a.Log.Warn("this process stalled; if redis is the master it is fenced until consul or its replicas confirm that",
			"event", "process_stalled", "redis", a.local.addr(), "took", stall.Round(time.Millisecond))
	}
	k := a.known.Load()
	switch s.next(k) {
	case forgetStall:
		a.local.forgetFence(fencedForStall)
		return stallWatch{}
	case fenceStall:
		if err := a.local.fence(ctx, fencedForStall); err != nil {
			return s
		}
		a.notifyFenced(k.View.State.Master.Term, "this process stalled")
		return stallWatch{fenced: s.stalled}
	case unfenceStall:
		if a.unfenceAfterStall(ctx, k, s.fenced) {
			s.fenced = time.Time{}
		}
		return s
	}
	s.stalled = time.Time{}
	return s
}

// unfenceAfterStall ends the fence of a stall that ended at that time, if as many members have acknowledged since as a
// challenger would need to be detached: none can have gathered the rest. It reports whether Redis is no longer fenced.
func (a *Agent) unfenceAfterStall(ctx context.Context, k member.Snapshot, ended time.Time) bool {
	st, err := a.local.status(ctx)
	if err != nil {
		return false
	}
	if !st.Fenced() || !st.Master {
		a.local.forgetFence(fencedForStall)
		return true
	}
	members, _ := cluster.CountReplicas(cluster.AckedSince(st, ended, time.Now()), k.View, a.Me.ID, a.links.streams, a.Guard)
	if members < k.View.State.Guard().Replicas {
		return false
	}
	if unfenced, err := a.local.unfence(ctx, fencedForStall); err != nil || !unfenced {
		return err == nil
	}
	a.Log.Warn("enough replicas have acknowledged since this process stalled; redis is unfenced", "event", "stall_fence_lifted",
		"redis", a.local.addr())
	return true
}

// fenceAtLeaseEnd fences the master that we are when the last lease under which we held the lock is over, if there is no
// guard that would close it. The guard's keeper ends the fence once the lock is ours again.
func (a *Agent) fenceAtLeaseEnd(ctx context.Context) {
	if a.Guard.Replicas != cluster.GuardOff {
		return
	}
	var held member.Snapshot // the last one in which our session held the lock
	for armed := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if k.HoldsLock() && k.LeaseLeft(time.Now()) > 0 {
			held, armed = k, true
		}
		left := held.LeaseLeft(time.Now())
		if armed && left == 0 && !k.Paused {
			armed = !a.fenceMaster(ctx)
		}
		var end <-chan time.Time
		if armed {
			end = time.After(max(left, alertPeriod))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-end:
		}
	}
}

// fenceMaster fences our Redis if it is a master, and reports whether that is done.
func (a *Agent) fenceMaster(ctx context.Context) bool {
	st, err := a.local.status(ctx)
	if err == nil && (!st.Master || st.Fenced()) {
		return true
	}
	if err == nil {
		err = a.local.fence(ctx, fencedForLease)
	}
	if err != nil {
		a.Log.Error("lease is over and redis cannot be fenced, retrying", "event", "lease_fence_failed",
			"redis", a.local.addr(), "err", err)
		return false
	}
	a.Log.Warn("lease is over and GUARD=off; redis is fenced until the lock is ours again", "event", "lease_over_fenced",
		"redis", a.local.addr())
	a.notifyFenced(a.known.Load().View.State.Term(), "the lease is over")
	return true
}

// replicationConfig is what an instance of our Redis was given that it needs as a replica.
type replicationConfig struct {
	runID  string
	login  redis.Login
	failed string // why it could not be given, as it was logged
}

// keepReplicationConfig gives our Redis what it needs as a replica before it is one: whoever makes it a replica may have no
// time. It does so for each instance, and again when the password was changed: a link that ends then must come back. It
// waits until the lock was read, because the lock may be another cluster's.
func (a *Agent) keepReplicationConfig(ctx context.Context) {
	var has replicationConfig
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		if k.Probed && k.Fresh && k.View.Err == nil && k.View.CheckService(a.masterService()) == nil {
			has = a.configureReplication(ctx, k.Health, has)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (a *Agent) configureReplication(ctx context.Context, h redis.Health, has replicationConfig) replicationConfig {
	if h.Err != nil || h.AccessErr != nil || has.runID == h.Status.RunID && has.login == a.Creds.Replicating() {
		return has
	}
	want := replicationConfig{runID: h.Status.RunID, login: a.Creds.Replicating()}
	err := a.local.configureReplication(ctx)
	if err == nil {
		return want
	}
	if why := redis.Summary(err); has.failed != why {
		has.failed = why
		a.Log.Warn("cannot configure replication on redis, retrying", "event", "replication_config_failed",
			"redis", a.local.addr(), "err", err)
	}
	return has
}
