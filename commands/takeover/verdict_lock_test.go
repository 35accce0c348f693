package takeover

import (
	"errors"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

func TestLockVerdict(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{ID: "old", RunID: "run-old"}}
	for _, tt := range []struct {
		name string
		v    cluster.View
		want error
	}{
		{"ours", cluster.View{Session: "mine", Holder: "me", State: cluster.State{Master: m}}, nil},
		{"free", cluster.View{State: cluster.State{Master: m}}, ErrLost},
		{"another member's", cluster.View{Session: "b's", Holder: "b", State: cluster.State{Master: m}}, ErrLost},
		{"another's, no master published", cluster.View{Session: "b's", Holder: "b"}, ErrLost},
		{"the old master's", cluster.View{Session: "old's", Holder: "old", State: cluster.State{Master: m}}, errOldMasterHasLock},
	} {
		if got := lockVerdict(tt.v, "mine", "run-old"); !errors.Is(got, tt.want) {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	restarted := cluster.View{Session: "old's", Holder: "old", State: cluster.State{Master: m}}
	if got := lockVerdict(restarted, "mine", "run-older"); !errors.Is(got, ErrLost) {
		t.Errorf("the old member's, in a later run: got %v", got)
	}
}

func TestDemotionVerdict(t *testing.T) {
	for _, tt := range []struct {
		name string
		st   redis.Status
		err  error
		run  string
		want demotion
	}{
		{"it is down", redis.Status{}, errRefused, "r", demotionDone},
		{"it does not answer", redis.Status{}, errTimeout, "r", demotionFailed},
		{"another instance", redis.Status{RunID: "x", Master: true}, nil, "r", demotionDone},
		{"an instance that is not known", redis.Status{RunID: "x", Master: true}, nil, anyInstance, demotePark},
		{"it is a master", redis.Status{RunID: "r", Master: true}, nil, "r", demotePark},
		{"it is parked", redis.Status{RunID: "r", MasterAddr: redis.Sink}, nil, "r", demoteFollow},
		{"it follows", redis.Status{RunID: "r", MasterAddr: "me:1"}, nil, "r", demoteCleanUp},
	} {
		if got := demotionVerdict(tt.st, tt.err, tt.run); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
	for _, tt := range []struct {
		last time.Duration
		err  error
		want time.Duration
	}{{ProbeInterval, errTimeout, ProbeInterval}, {5 * time.Second, errTimeout, ProbeInterval}, {ProbeInterval, errDenied,
		2 * ProbeInterval},
		{8 * time.Second, errDenied, maxDeniedRetry}} {
		if got := nextDemotionRetry(tt.last, tt.err); got != tt.want {
			t.Errorf("after %s and %v: wait %s, want %s", tt.last, tt.err, got, tt.want)
		}
	}
}

func TestLinkAndStream(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{Address: "old:1"}}
	streams := redis.Status{MasterAddr: "old:1", LinkUp: true, Position: redis.Position{ReplID: "a", Offset: 7}}
	changed := func(change func(*redis.Status)) redis.Status { st := streams; change(&st); return st }
	for _, tt := range []struct {
		name                     string
		own                      redis.Status
		receives, ended, history bool
	}{
		{"it streams", streams, true, false, true},
		{"its link is down", changed(func(s *redis.Status) { s.LinkUp = false }), false, true, false},
		{"it is in a full sync", changed(func(s *redis.Status) { s.Syncing = true }), false, true, false},
		{"it follows another", changed(func(s *redis.Status) { s.MasterAddr = "x:1" }), false, true, true},
		{"it is a master", changed(func(s *redis.Status) { s.Master = true }), false, true, false},
		{"in another history", changed(func(s *redis.Status) { s.Position.ReplID = "b" }), true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := receivesFrom(tt.own, m, ""); got != tt.receives {
				t.Errorf("receives: %t", got)
			}
			if got := linkEnded(tt.own, "old:1"); got != tt.ended {
				t.Errorf("link ended: %t", got)
			}
			if got := streamsHistoryOf(tt.own, redis.Status{Position: redis.Position{ReplID: "a"}}); got != tt.history {
				t.Errorf("streams the history: %t", got)
			}
		})
	}
	atFormer := changed(func(s *redis.Status) { s.MasterAddr = "former:1" })
	if !receivesFrom(atFormer, m, "former:1") || receivesFrom(atFormer, m, "") || linkEnded(atFormer, "old:1", "former:1") {
		t.Error("it streams from the former address")
	}
	for _, tt := range []struct {
		own  redis.Position
		want bool
	}{{redis.Position{ReplID: "a", Offset: 6}, false}, {redis.Position{ReplID: "a", Offset: 7}, true},
		{redis.Position{ReplID: "a", Offset: 8}, true},
		{redis.Position{ReplID: "b", Offset: 8}, false}} {
		if got := hasAll(tt.own, redis.Position{ReplID: "a", Offset: 7}); got != tt.want {
			t.Errorf("%+v has all: %t", tt.own, got)
		}
	}
}
