package cluster

import (
	"testing"

	"resec/commands/expect"
	"resec/handlers"
	"resec/handlers/redis"
)

// Replicas that are no members hold a guard open if too few members keep up, as Redis counts them.
func TestHeldOpen(t *testing.T) {
	policy := GuardPolicy{MaxLag: 5}
	view := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "a"}, Guard: 1, MaxLag: 5},
		Members: map[string]MemberRecord{"a": {}, "b": {Address: "b:1"}, "c": {Address: "c:1"}}}}
	link := func(addr string, lag int, online bool) redis.Replica {
		return redis.Replica{Addr: addr, Lag: lag, Online: online}
	}
	unguarded := view
	unguarded.State = view.State.WithGuard(MinReplicas{Replicas: 0, MaxLag: 5})
	for _, tt := range []struct {
		name     string
		v        View
		replicas []redis.Replica
		want     bool
	}{
		{"nobody", view, nil, false},
		{"a member that keeps up", view, []redis.Replica{link("b:1", 5, true), link("x:0", 0, true)}, false},
		{"a member that lags too long for redis", view, []redis.Replica{link("b:1", 6, true), link("x:0", 0, true)}, true},
		{"no member, and a client", view, []redis.Replica{link("x:0", 0, true)}, true},
		{"no member, and a client that is not online yet", view, []redis.Replica{link("x:0", 0, false)}, true},
		{"no member, and a server", view, []redis.Replica{link("x:6379", 0, true)}, true},
		{"members alone", view, []redis.Replica{link("b:1", 9, true), link("c:1", 0, false)}, false},
		{"no guard", unguarded, []redis.Replica{link("x:0", 0, true)}, false},
	} {
		st := redis.Status{Master: true, Replicas: tt.replicas}
		nobody := func(string) bool { return false }
		expect.Equal(t, tt.name, HeldOpen(st, tt.v, "a", nobody, policy), tt.want)
	}
}
