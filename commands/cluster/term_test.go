package cluster

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/handlers/redis"
)

// leading is the snapshot of "me" as the master that was published at index 10; then changed.
func leading(change ...func(*Snapshot)) Snapshot {
	return situation(append([]func(*Snapshot){holdingLock, promoted, publishedOwn}, change...)...)
}

func TestTermEnded(t *testing.T) {
	since := time.Now()
	demoted := func(at time.Time) func(*Snapshot) {
		return func(k *Snapshot) { k.Health.At, k.Health.Status.Master, k.Health.Status.MasterAddr = at, false, "b:1" }
	}
	for _, tt := range []struct {
		name  string
		k     Snapshot
		ended bool
		want  EndReason
	}{
		{"not while we hold the lock and Redis is the promoted instance", leading(), false, EndReason{}},
		{"not by a view older than the term", leading(lockFree, func(k *Snapshot) { k.View.Index = 9 }), false, EndReason{}},
		{"not by another holder in a view older than the term",
			leading(func(k *Snapshot) { k.View.Index, k.View.Session, k.View.Holder = 9, "a's", "a" }), false, EndReason{}},
		{"not while Consul is unavailable", leading(func(k *Snapshot) { k.Fresh = false }), false, EndReason{}},
		{"not by a fence", leading(fencedRedis), false, EndReason{}},
		{"not by a probe of Redis older than the term", leading(demoted(since.Add(-1))), false, EndReason{}},
		{"when the state was deleted or changed by hand", leading(noState), true,
			EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when Redis was made a replica by hand", leading(demoted(since.Add(1))), true,
			EndReason{Release: WhyUnhealthy, Text: "redis was made a replica of b:1"}},
		{"when the published run was changed by hand", leading(func(k *Snapshot) { k.View.State.Master.RunID = "x" }), true,
			EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when the lock is free", leading(lockFree, func(k *Snapshot) { k.View.Index = 11 }), true,
			EndReason{Text: "the lock was lost and is free"}},
		{"when another agent holds the lock",
			leading(func(k *Snapshot) { k.View.Index, k.View.Session, k.View.Holder = 11, "a's", "a" }), true,
			EndReason{Text: "the lock is held by a"}},
		{"when the state was deleted, and the last known one is used", leading(func(k *Snapshot) { k.View.FromLastKnown = true }), true,
			EndReason{Text: "the state was deleted or damaged by hand: publishing it again", KeepLock: true}},
		{"not by a deleted state in a view older than the term",
			leading(func(k *Snapshot) { k.View.Index, k.View.FromLastKnown = 9, true }), false, EndReason{}},
		{"not by a request in a view older than the term", leading(requested("a"), func(k *Snapshot) { k.View.Index = 9 }), false,
			EndReason{}},
		{"not by a state of a newer version", leading(noState, newerVersion), false, EndReason{}},
		{"by Redis although the state has a newer version", leading(newerVersion, redisUnusable), true,
			EndReason{Release: WhyFrozen, Text: "redis is unreachable: it does not answer"}},
		{"when another member is published", leading(func(k *Snapshot) { k.View.Holder = "a" }), true,
			EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when another term is published", leading(func(k *Snapshot) { k.View.State.Master.Term = 6 }), true,
			EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}},
		{"when another member with a live agent is requested", leading(requested("a")), true,
			EndReason{Text: "an operator requested a as master", KeepLock: true}},
		{"when we are requested by force", leading(requested("me")), true,
			EndReason{Text: "an operator requested me as master", KeepLock: true}},
		{"not for a requested member whose agent is dead", leading(requested("dead")), false, EndReason{}},
		{"not for a switchover that was not accepted", leading(requested("a"), func(k *Snapshot) { k.View.Request.Planned = true }),
			false, EndReason{}},
		{"when a switchover was accepted",
			leading(requested("a"), func(k *Snapshot) { k.View.Request.Planned, k.View.Request.Accepted = true, true }), true,
			EndReason{Text: "an operator requested a as master", KeepLock: true}},
		{"not by a restart of Redis while paused", leading(pausedCluster, func(k *Snapshot) { k.Health.Status.RunID = "run-new" }),
			false, EndReason{}},
		{"not by a request while paused", leading(pausedCluster, requested("a")), false, EndReason{}},
		{"when the lock is lost while paused", leading(pausedCluster, lockFree, func(k *Snapshot) { k.View.Index = 11 }), true,
			EndReason{Text: "the lock was lost and is free"}},
		{"when Redis is down", leading(func(k *Snapshot) { k.Health.Err = fmt.Errorf("dial: %w", syscall.ECONNREFUSED) }), true,
			EndReason{Release: WhyDead, Text: "redis is down"}},
		{"when Redis is unreachable", leading(redisUnusable), true,
			EndReason{Release: WhyFrozen, Text: "redis is unreachable: it does not answer"}},
		{"when Redis is unusable", leading(func(k *Snapshot) { k.Health.Err = redis.ErrLoading }), true,
			EndReason{Release: WhyUnhealthy, Text: "redis is unusable: redis is loading its data set"}},
		{"when Redis was restarted", leading(func(k *Snapshot) { k.Health.Status.RunID = "run-new" }), true,
			EndReason{Release: WhyDead, Text: "redis was restarted: it is a new instance", ParkRedis: true}},
		{"a lost lock is not released, whatever else is wrong",
			leading(lockFree, redisUnusable, func(k *Snapshot) { k.View.Index = 11 }), true,
			EndReason{Text: "the lock was lost and is free"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ended := TermEnded(tt.k, Term{ID: "me", Session: "mine", RunID: "run-me", Index: 10, Number: 5, Since: since})
			if got != tt.want || ended != tt.ended {
				t.Errorf("got %+v, %t; want %+v, %t", got, ended, tt.want, tt.ended)
			}
		})
	}
}

func TestResumesTerm(t *testing.T) {
	adopted := func(k *Snapshot) { k.Adopted = "mine" }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"the adopted session and the published master", leading(adopted), true},
		{"not our own session", leading(), false},
		{"not with a last known state", leading(adopted, func(k *Snapshot) { k.View.FromLastKnown = true }), false},
		{"not if another master is published", situation(holdingLock, promoted, adopted), false},
		{"not if none is published", leading(adopted, noState), false},
		{"not after Redis was restarted", leading(adopted, func(k *Snapshot) { k.Health.Status.RunID = "run-new" }), false},
		{"not if Redis is a replica", leading(adopted, func(k *Snapshot) { k.Health.Status.Master = false }), false},
		{"not after the lock was given up", leading(adopted, func(k *Snapshot) { k.View.State.Why = WhyUnhealthy }), false},
		{"not with an open request", leading(adopted, requested("me")), false},
		{"not if Redis is fenced", leading(adopted, fencedRedis), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ResumesTerm(tt.k, "me"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestEndReason_String(t *testing.T) {
	if got := (EndReason{Release: WhyDead, Text: "redis is down"}).String(); got != "redis is down" {
		t.Errorf("got %q", got)
	}
}
