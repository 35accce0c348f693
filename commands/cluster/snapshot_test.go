package cluster

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"resec/handlers/redis"
)

func TestInstanceDown(t *testing.T) {
	run := func(id string) redis.Status { return redis.Status{RunID: id} }
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"not while it answers", redis.Health{Status: run("a")}, false},
		{"when another run answers", redis.Health{Status: run("b")}, true},
		{"also while the other run is loading", redis.Health{Status: run("b"), Err: redis.ErrLoading}, true},
		{"when nothing listens", redis.Health{Status: run("a"), Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, true},
		{"not when it is unreachable: it may be alive", redis.Health{Status: run("a"), Err: errors.New("timeout")}, false},
		{"not before its run is known", redis.Health{}, false},
	} {
		if got := InstanceDown(tt.h, "a"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestFollowedMaster(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		ok   bool
	}{
		{"the published master that our Redis follows", situation(), true},
		{"not if our Redis does not follow it", situation(parkedRedis), false},
		{"not if our Redis is a master", situation(promoted), false},
		{"not if it is a master at that address", situation(func(k *Snapshot) { k.Health.Status.Master = true }), false},
		{"not if our Redis follows our own address", situation(publishedOwn, func(k *Snapshot) {
			k.Health.Status.MasterAddr = k.View.State.Master.Address
		}), false},
		{"not if we are published", situation(publishedOwn), false},
		{"not if none is published", situation(noState), false},
	} {
		if _, ok := FollowedMaster(tt.k, "me"); ok != tt.ok {
			t.Errorf("%s: got %t", tt.name, ok)
		}
	}
}

func TestSnapshot_CatalogNotNeeded(t *testing.T) {
	reported := func(k *Snapshot) { k.View.State.Why = WhyDead }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"the master's agent reported it, and we are recorded", situation(lockFree, reported), true},
		{"it was not reported", situation(lockFree), false},
		{"we are not recorded", situation(lockFree, reported, notRecorded), false},
		{"our Redis was restarted", situation(lockFree, reported, restartedRedis), false},
		{"we are the master", situation(lockFree, publishedOwn, reported), false},
		{"no master", situation(lockFree, noState), false},
	} {
		if got := tt.k.CatalogNotNeeded("me"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestSnapshot_HoldsLock(t *testing.T) {
	if !situation(holdingLock).HoldsLock() || situation().HoldsLock() || situation(lockFree, withoutSession).HoldsLock() {
		t.Error("only our own session holds the lock")
	}
}

func TestIsServingMaster(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"published and writable", leading(), true},
		{"fenced", leading(fencedRedis), false},
		{"a replica", leading(func(k *Snapshot) { k.Health.Status.Master = false }), false},
		{"another run", leading(restartedRedis), false},
		{"another member is published", leading(func(k *Snapshot) { k.View.State.Master.ID = "a" }), false},
		{"none is published", leading(noState), false},
	} {
		if got := IsServingMaster(tt.k, "me"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}
