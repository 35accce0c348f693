package cluster

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
)

// A failure lasts since the first probe that showed it, and ends with an answer of the same instance.
func TestMasterFailure_Observe(t *testing.T) {
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	answers := redis.Health{Status: redis.Status{RunID: "run-a"}}
	refuses := redis.Health{Err: syscall.ECONNREFUSED}
	hangs := redis.Health{Err: errors.New("i/o timeout")}
	down := MasterFailure{RunID: "run-a", Down: true, Since: at(1), DownSince: at(2)}
	for _, tt := range []struct {
		name string
		was  MasterFailure
		h    redis.Health
		want MasterFailure
	}{
		{"it answers", down, answers, MasterFailure{RunID: "run-a"}},
		{"it refuses", MasterFailure{}, refuses, MasterFailure{RunID: "run-a", Down: true, Since: at(9), DownSince: at(9)}},
		{"it still refuses", down, refuses, down},
		{"it hangs", MasterFailure{RunID: "run-a"}, hangs, MasterFailure{RunID: "run-a", Unreachable: true, Since: at(9)}},
		{"it refuses after it hung", MasterFailure{RunID: "run-a", Unreachable: true, Since: at(1)}, refuses,
			MasterFailure{RunID: "run-a", Down: true, Since: at(1), DownSince: at(9)}},
		{"another master failed before", MasterFailure{RunID: "run-x", Down: true, Since: at(1), DownSince: at(2)}, refuses,
			MasterFailure{RunID: "run-a", Down: true, Since: at(9), DownSince: at(9)}},
		{"another instance answers", MasterFailure{RunID: "run-a"}, redis.Health{Status: redis.Status{RunID: "run-b"}},
			MasterFailure{RunID: "run-a", Down: true, Since: at(9), DownSince: at(9)}},
	} {
		if d := cmp.Diff(tt.want, tt.was.Observe("run-a", tt.h, at(9))); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

// The decision's table test covers the other conditions of masterFailed.
func TestMasterFailed(t *testing.T) {
	followsOther := func(k *Snapshot) { k.Health.Status.MasterAddr = "10.0.0.7:6379" }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"a replica of the failed master", situation(masterDown), true},
		{"a parked Redis", situation(masterDown, parkedRedis), true},
		{"a replica of another master", situation(masterDown, followsOther), false},
		{"a master", situation(masterDown, promoted), false},
		{"a master at the address of the failed one", situation(masterDown, func(k *Snapshot) { k.Health.Status.Master = true }),
			false},
		{"the master itself", situation(masterDown, publishedOwn, func(k *Snapshot) { k.View.Holder = "me" }), false},
		{"none is published", situation(masterDown, noState), false},
		{"the master did not fail", situation(func(k *Snapshot) { k.Failure = MasterFailure{RunID: "run-a"} }, withGuard), false},
		{"an unusable Redis", situation(masterDown, redisUnusable), false},
		{"a catching up Redis", situation(masterDown, func(k *Snapshot) {
			k.View.State.Members["me"] = MemberRecord{RunID: "run-me", CatchingUp: true}
		}), false},
		{"a switchover that is not accepted",
			situation(masterDown, requested("a"), func(k *Snapshot) { k.View.Request.Planned = true }), true},
	} {
		if got := masterFailed(tt.k, "me"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestSnapshot_KnownUnresponsive(t *testing.T) {
	reported := func(k *Snapshot) { k.View.State.Why = WhyFrozen }
	for _, tt := range []struct {
		name string
		k    Snapshot
		id   string
		want bool
	}{
		{"a master that answers", situation(), "a", false},
		{"a master that its agent reported", situation(reported), "a", true},
		{"an unreachable master", situation(masterUnreachable), "a", true},
		{"a master that is down refuses at once", situation(masterDown), "a", false},
		{"another member", situation(masterUnreachable, reported), "me", false},
		{"another run of the master", situation(masterUnreachable, func(k *Snapshot) { k.Failure.RunID = "run-x" }), "a", false},
		{"no master", situation(masterUnreachable, noState), "a", false},
	} {
		if got := tt.k.KnownUnresponsive(tt.id); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestNetworkMayReject(t *testing.T) {
	free := situation(lockFree).View
	passing := Member{ID: "a", Check: "passing"}
	for _, tt := range []struct {
		name string
		v    View
		m    Member
		want bool
	}{
		{"the lock is free without a reason, and the check passes", free, passing, true},
		{"the lock is held", situation().View, passing, false},
		{"the agent gave a reason", situation(lockFree, func(k *Snapshot) { k.View.State.Why = WhyDead }).View, passing, false},
		{"another member", free, Member{ID: "b", Check: "passing"}, false},
		{"the check is critical", free, Member{ID: "a", Check: "critical"}, false},
		{"it is not in the catalogue", free, Member{ID: "a", Check: NotInCatalog}, false},
		{"no master", situation(lockFree, noState).View, passing, false},
	} {
		if got := NetworkMayReject(tt.v, tt.m); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}
