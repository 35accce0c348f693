package cluster

import (
	"errors"
	"testing"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

func TestHandoverReason(t *testing.T) {
	refusing := func(r ...redis.Refusal) func(*Snapshot) { return func(k *Snapshot) { k.Health.Status.Refusals = r } }
	disk := redis.Refusal{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}
	pause := redis.Refusal{Code: redis.RefusalPaused, Text: "it is paused", Now: true, Wait: true}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	hidden := func(serf bool, since time.Duration) func(*Snapshot) {
		return func(k *Snapshot) { k.Hidden = Hidden{By: "the node's check", Serf: serf, Since: now.Add(-since)} }
	}
	for _, tt := range []struct {
		name   string
		change []func(*Snapshot)
		want   string
	}{
		{"a master that serves", nil, ""},
		{"one that refuses writes", []func(*Snapshot){refusing(disk)}, "redis refuses writes: its disk is full"},
		{"one whose memory is nearly full", []func(*Snapshot){refusing(redis.Refusal{Code: redis.RefusalMemory, Text: "nearly"})}, ""},
		{"somebody's pause ends by itself", []func(*Snapshot){refusing(pause)}, ""},
		{"a pause and a full disk", []func(*Snapshot){refusing(pause, disk)}, "redis refuses writes: its disk is full"},
		{"clients cannot find it", []func(*Snapshot){hidden(false, 0)}, "clients cannot find it: the node's check"},
		{"consul's servers have not reached its agent for a moment", []func(*Snapshot){hidden(true, SerfGrace-1)}, ""},
		{"nor for long", []func(*Snapshot){hidden(true, SerfGrace)}, "clients cannot find it: the node's check"},
		{"it refuses writes, too", []func(*Snapshot){hidden(false, 0), refusing(disk)}, "redis refuses writes: its disk is full"},
		{"the cluster is paused", []func(*Snapshot){refusing(disk), func(k *Snapshot) { k.Paused = true }}, ""},
		{"it does not answer", []func(*Snapshot){refusing(disk), func(k *Snapshot) { k.Health.Err = errors.New("x") }}, ""},
		{"its status is not known any more", []func(*Snapshot){refusing(disk),
			func(k *Snapshot) { k.Health.AccessErr = errors.New("x") }}, ""},
		{"a fence is ours", []func(*Snapshot){refusing(disk), func(k *Snapshot) { k.Health.Status.MinReplicas = 1<<31 - 1 }}, ""},
		{"a replica", []func(*Snapshot){refusing(disk), func(k *Snapshot) { k.Health.Status.Master = false }}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := leading(tt.change...)
			if got := HandoverReason(k, now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHandoverTo(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1", Term: 5}}
	k := Snapshot{Observation: Observation{View: View{State: ledBy("a"),
		LiveAgents: map[string]MemberKey{"a": {Session: "a's"}, "b": {Session: "b's"}, "c": {Session: "c's"}}}}}
	follows, elsewhere := func(c *Candidate) { c.MasterAddr = "a:1" }, func(c *Candidate) { c.MasterAddr = "x:1" }
	for _, tt := range []struct {
		name string
		cs   []Candidate
		want string
	}{
		{"the best one that takes writes", []Candidate{replica("a", master, full), replica("b", follows), replica("c", follows)}, "b"},
		{"one that is behind, and receives the rest", []Candidate{replica("a", master, full, offset(150)), replica("b", follows)}, "b"},
		{"not one that is far behind", []Candidate{replica("a", master, full, offset(5<<20)), replica("b", follows)}, ""},
		{"not one with the same fault", []Candidate{replica("a", master, full), replica("b", follows, full), replica("c", follows)}, "c"},
		{"not one that soon has the same fault", []Candidate{replica("a", master, full), replica("b", follows, nearlyFull)}, ""},
		{"one that is soon full, if the master has another fault", []Candidate{replica("a", master, nearlyFull, inMaintenance),
			replica("b", follows, nearlyFull)}, "b"},
		{"nobody where all have it", []Candidate{replica("a", master, full), replica("b", follows, full), replica("c", follows, full)}, ""},
		{"not one that clients cannot find", []Candidate{replica("a", master, full), replica("b", follows, inMaintenance)}, ""},
		{"from one that clients cannot find", []Candidate{replica("a", master, inMaintenance), replica("b", follows)}, "b"},
		{"nobody where all are in maintenance", []Candidate{replica("a", master, inMaintenance), replica("b", follows, inMaintenance)}, ""},
		{"not one that does not stream from us", []Candidate{replica("a", master, full), replica("b", elsewhere)}, ""},
		{"not one with priority 0", []Candidate{replica("a", master, full), replica("b", follows, priority(0))}, ""},
		{"not one of another history", []Candidate{replica("a", master, full), replica("b", follows, history("l1"))}, ""},
		{"not from a fenced master", []Candidate{replica("a", master, full, fenced), replica("b", follows)}, ""},
		{"not without an answer of ours", []Candidate{replica("b", follows)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := HandoverTo(tt.cs, k, me); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	k.View.LiveAgents["b"] = MemberKey{}
	if got := HandoverTo([]Candidate{replica("a", master, full), replica("b", follows)}, k, me); got != "" {
		t.Errorf("%s has no agent", got)
	}
}

func TestHandedOver(t *testing.T) {
	for why, want := range map[string]bool{"": false, WhyDead: false, WhyLeaving: true, WhyHandedOver + ": its disk is full": true} {
		if HandedOver(why) != want {
			t.Errorf("HandedOver(%q) is not %t", why, want)
		}
	}
}

func TestHidden_Observe(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2030, 1, 1, 0, 0, s, 0, time.UTC) }
	h := Hidden{}
	for i, tt := range []struct {
		by   string
		serf bool
		want Hidden
	}{
		{"", false, Hidden{}},
		{"serf", true, Hidden{"serf", true, at(1)}},
		{"serf: later", true, Hidden{"serf: later", true, at(1)}},
		{"disk", false, Hidden{"disk", false, at(3)}},
		{"load", false, Hidden{"load", false, at(3)}},
		{"", false, Hidden{}},
		{"disk", false, Hidden{"disk", false, at(6)}},
	} {
		if h = h.Observe(tt.by, tt.serf, at(i)); h != tt.want {
			t.Errorf("%d: got %+v, want %+v", i, h, tt.want)
		}
	}
}
