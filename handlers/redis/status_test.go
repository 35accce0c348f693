package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSupported(t *testing.T) {
	for version, want := range map[string]bool{
		"6.2.0": true, "6.2": true, "6.10.1": true, "7.0.15": true, "7": true, "10.0.0": true, "255.255.255": true,
		"6.1.9": false, "6.0.16": false, "6": false, "5.9.9": false, "": false, "unstable": false, "v7.0.0": false,
	} {
		if got := supported(version); got != want {
			t.Errorf("supported(%q) = %t, want %t", version, got, want)
		}
	}
}

func TestStatus_Predicates(t *testing.T) {
	type predicates struct{ Fenced, Parked, Streaming bool }
	for _, tt := range []struct {
		name string
		st   Status
		want predicates
	}{
		{"a master is neither parked nor streaming", Status{Master: true, LinkUp: true, MasterAddr: Sink}, predicates{}},
		{"a replica of the sink is parked", Status{MasterAddr: Sink}, predicates{Parked: true}},
		{"a replica whose link is up is streaming",
			Status{MasterAddr: "10.0.0.1:6379", LinkUp: true}, predicates{Streaming: true}},
		{"a replica in a full sync is not streaming",
			Status{MasterAddr: "10.0.0.1:6379", LinkUp: true, Syncing: true}, predicates{}},
		{"an operator's setting is no fence", Status{Master: true, MinReplicas: 2}, predicates{}},
		{"a fence over an operator's setting", Status{Master: true, MinReplicas: fenceOver(2)}, predicates{Fenced: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, predicates{tt.st.Fenced(), tt.st.Parked(), tt.st.Streaming()}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIsAncestorOf(t *testing.T) {
	q := Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 100, Offset: 150}
	for _, tt := range []struct {
		p    Position
		want bool
	}{
		{Position{ReplID: "b", Offset: 150}, true},
		{Position{ReplID: "b", Offset: 151}, false},
		{Position{ReplID: "a", Offset: 99}, true},
		{Position{ReplID: "a", Offset: 100}, false}, // the histories diverged at offset 100
		{Position{ReplID: "c", Offset: 1}, false},
		{Position{}, false},
		{Position{ReplID: "a", Offset: 151}, false},
	} {
		if got := tt.p.IsAncestorOf(q); got != tt.want {
			t.Errorf("%+v is an ancestor: %t", tt.p, got)
		}
	}
	q.ReplID2EndOffset = 0 // unknown
	if p := (Position{ReplID: "a", Offset: 150}); !p.IsAncestorOf(q) {
		t.Errorf("%+v is no ancestor, although the end of its history is unknown", p)
	}
}

func TestAttached(t *testing.T) {
	st := Status{Replicas: []Replica{{Online: true, Lag: 0}, {Online: true, Lag: 1}, {Online: true, Lag: 2}, {Lag: 0}}}
	for lag, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 10: 3} {
		if got := st.Attached(lag); got != want {
			t.Errorf("Attached(%d) = %d, want %d", lag, got, want)
		}
	}
}

func TestBelowMinReplicas(t *testing.T) {
	one := []Replica{{Online: true, Lag: 10}}
	for _, tt := range []struct {
		name string
		st   Status
		want bool
	}{
		{"too few", Status{Master: true, MinReplicas: 2, MaxLag: 10, Replicas: one}, true},
		{"enough, at the largest lag", Status{Master: true, MinReplicas: 1, MaxLag: 10, Replicas: one}, false},
		{"one that lags too much", Status{Master: true, MinReplicas: 1, MaxLag: 9, Replicas: one}, true},
		{"a max-lag of 0 switches it off", Status{Master: true, MinReplicas: 2, Replicas: one}, false},
		{"a max-lag of 1", Status{Master: true, MinReplicas: 1, MaxLag: 1}, true},
		{"a replica", Status{MinReplicas: 2, MaxLag: 10}, false},
	} {
		if got := tt.st.BelowMinReplicas(); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	p := newPeer(t, nil)
	for name, value := range map[string]string{
		"replica-priority": "0", "replica-read-only": "no", "min-replicas-to-write": "2", "min-replicas-max-lag": "7",
	} {
		p.set(name, value)
	}
	s := p.open(t, Options{})
	want := Status{RunID: id40("a"), Version: "7.0.15", Master: true, Position: Position{ReplID: id40("b"), Offset: 1234},
		ReplicaWritable: true, MinReplicas: 2, MaxLag: 7}
	got, err := s.Status(t.Context())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	p.set("replica-priority", "")
	p.set("replica-read-only", "yes")
	want.Priority, want.ReplicaWritable = 100, false
	got, err = s.Status(t.Context())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	p.setInfo(map[string]string{"redis_version": "6.0.0"})
	if _, err := s.Status(t.Context()); !errors.Is(err, ErrTooOld) || !strings.Contains(err.Error(), p.addr()) {
		t.Errorf("got %v, want ErrTooOld with the address", err)
	}
	for command, reply := range map[string]string{"INFO": ":1", "CONFIG GET": ":1"} {
		p.setInfo(map[string]string{"redis_version": "7.0.15"})
		p.fail(command, reply)
		if _, err := s.Status(t.Context()); err == nil {
			t.Errorf("a number in reply to %s is no error", command)
		}
		p.succeed(command)
	}
}
