package cluster

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"resec/handlers/redis"
)

func TestGone(t *testing.T) {
	run := func(id string) redis.Status { return redis.Status{RunID: id} }
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"not while it answers", redis.Health{Status: run("a")}, false},
		{"when another run answers", redis.Health{Status: run("b")}, true},
		{"also while that one is loading", redis.Health{Status: run("b"), Err: redis.ErrLoading}, true},
		{"when nothing listens", redis.Health{Status: run("a"), Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, true},
		{"not when it is silent: it may live", redis.Health{Status: run("a"), Err: errors.New("timeout")}, false},
		{"not before it said who it is", redis.Health{}, false},
	} {
		if got := InstanceDown(tt.h, "a"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestLeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		ok   bool
	}{
		{"the published master that our Redis follows", situation(), true},
		{"not one that it does not follow", situation(parkedRedis), false},
		{"not where our Redis is a master", situation(promoted), false},
		{"not where we are published", situation(publishedOwn), false},
		{"not where nobody is", situation(noState), false},
	} {
		if _, ok := FollowedMaster(tt.k, "me"); ok != tt.ok {
			t.Errorf("%s: got %t", tt.name, ok)
		}
	}
}
