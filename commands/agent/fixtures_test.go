package agent

import (
	"log/slog"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/handlers"
	"resec/handlers/redis"
)

// bareAgent is the agent of "me", with what decisions need and without any server.
func bareAgent() *Agent {
	return &Agent{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.9:6379"}, Node: "n", ServiceID: "redis:6379"},
		Registrar: &catalog.Registrar{Naming: catalog.Naming{Prefix: "redis"}, Interval: time.Second},
		Probe:     redis.Probe{Every: time.Second, Timeout: 500 * time.Millisecond, Failures: 2},
		Session:   lock.SessionOptions{TTL: 3 * time.Second},
		Guard:     cluster.GuardPolicy{Replicas: cluster.GuardAuto, MaxLag: 4},
		Log:       slog.New(slog.DiscardHandler), known: observable.New[known.Snapshot](), verifySession: make(chan struct{}, 1)}
}

// equal fails the test if got is not want.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func unfresh(k *cluster.Snapshot) { k.Fresh = false }
