package cluster

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/handlers/redis"
)

// reigning is what "me" knows as the master that was published at index 10.
func leading(change ...func(*Snapshot)) Snapshot {
	return situation(append([]func(*Snapshot){holdingLock, promoted, publishedOwn}, change...)...)
}

func TestOver(t *testing.T) {
	since := time.Now()
	demoted := func(at time.Time) func(*Snapshot) {
		return func(k *Snapshot) { k.Health.At, k.Health.Status.Master, k.Health.Status.MasterAddr = at, false, "b:1" }
	}
	for _, tt := range []struct {
		name string
		k    Snapshot
		over bool
		want EndReason
	}{
		{"not while the lock is ours and Redis the one that was promoted", leading(), false, EndReason{}},
		{"not by a view older than the reign", leading(lockFree, func(k *Snapshot) { k.View.Index = 9 }), false, EndReason{}},
		{"not by what a view older than the reign says of another", leading(func(k *Snapshot) { k.View.Index, k.View.Session, k.View.Holder = 9, "a's", "a" }), false, EndReason{}},
		{"not while Consul is away", leading(func(k *Snapshot) { k.View.Index = 0 }), false, EndReason{}},
		{"not by a fence", leading(fencedRedis), false, EndReason{}},
		{"not by a look at Redis that is older than the reign", leading(demoted(since.Add(-1))), false, EndReason{}},
		{"when the state was deleted or changed by hand", leading(noState), true, EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when Redis was made a replica by hand", leading(demoted(since.Add(1))), true, EndReason{Release: WhyUnhealthy, Text: "redis was made a replica of b:1"}},
		{"when its run was changed by hand", leading(func(k *Snapshot) { k.View.State.Master.RunID = "x" }), true, EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when the lock is free", leading(lockFree, func(k *Snapshot) { k.View.Index = 11 }), true, EndReason{Text: "the lock was lost and is free"}},
		{"when the lock is another's", leading(func(k *Snapshot) { k.View.Index, k.View.Session, k.View.Holder = 11, "a's", "a" }), true, EndReason{Text: "the lock is held by a"}},
		{"when an operator wants another, whose agent lives", leading(requested("a")), true, EndReason{Text: "an operator requested a as master", KeepLock: true}},
		{"when an operator wants us to lead, whatever the others hold", leading(requested("me")), true, EndReason{Text: "an operator requested me as master", KeepLock: true}},
		{"not for one whose agent is dead", leading(requested("gone")), false, EndReason{}},
		{"not for a plan that was not accepted", leading(requested("a"), func(k *Snapshot) { k.View.Request.Planned = true }), false, EndReason{}},
		{"when a plan was accepted", leading(requested("a"), func(k *Snapshot) { k.View.Request.Planned, k.View.Request.Accepted = true, true }), true, EndReason{Text: "an operator requested a as master", KeepLock: true}},
		{"not by what becomes of Redis while the cluster is paused", leading(pausedCluster, func(k *Snapshot) { k.Health.Status.RunID = "run-new" }), false, EndReason{}},
		{"not by a request while the cluster is paused", leading(pausedCluster, requested("a")), false, EndReason{}},
		{"when the lock is lost while the cluster is paused", leading(pausedCluster, lockFree, func(k *Snapshot) { k.View.Index = 11 }), true, EndReason{Text: "the lock was lost and is free"}},
		{"when Redis is gone", leading(func(k *Snapshot) { k.Health.Err = fmt.Errorf("dial: %w", syscall.ECONNREFUSED) }), true, EndReason{Release: WhyDead, Text: "redis is down"}},
		{"when Redis does not answer", leading(redisUnusable), true, EndReason{Release: WhyFrozen, Text: "redis is unreachable: it does not answer"}},
		{"when Redis is unusable", leading(func(k *Snapshot) { k.Health.Err = redis.ErrLoading }), true,
			EndReason{Release: WhyUnhealthy, Text: "redis is unusable: redis is loading its data set"}},
		{"when Redis was restarted", leading(func(k *Snapshot) { k.Health.Status.RunID = "run-new" }), true, EndReason{Release: WhyDead, Text: "redis was restarted: it is a new instance", ParkRedis: true}},
		{"a lost lock is not given back, whatever else is wrong", leading(lockFree, redisUnusable, func(k *Snapshot) { k.View.Index = 11 }), true, EndReason{Text: "the lock was lost and is free"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, over := TermEnded(tt.k, Term{ID: "me", Session: "mine", RunID: "run-me", Index: 10, Number: 5, Since: since})
			if got != tt.want || over != tt.over {
				t.Errorf("got %+v, %t; want %+v, %t", got, over, tt.want, tt.over)
			}
		})
	}
}

func TestResumes(t *testing.T) {
	adopted := func(k *Snapshot) { k.Adopted = "mine" }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"the predecessor's session over the published master", leading(adopted), true},
		{"not a session of our own", leading(), false},
		{"not where another is published", situation(holdingLock, promoted, adopted), false},
		{"not where nobody is", leading(adopted, noState), false},
		{"not after Redis was restarted", leading(adopted, func(k *Snapshot) { k.Health.Status.RunID = "run-new" }), false},
		{"not over a replica", leading(adopted, func(k *Snapshot) { k.Health.Status.Master = false }), false},
		{"not after it was given up once", leading(adopted, func(k *Snapshot) { k.View.State.Why = WhyUnhealthy }), false},
		{"not where an operator wants something of us", leading(adopted, requested("me")), false},
		{"not over a master that is fenced", leading(adopted, fencedRedis), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ResumesTerm(tt.k, "me"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
