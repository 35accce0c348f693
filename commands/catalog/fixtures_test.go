package catalog

import (
	"errors"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// situation is what a healthy replica "me" knows while "a" holds the lock and is published, and it follows "a"; changed.
func situation(change ...func(*cluster.Snapshot)) cluster.Snapshot {
	k := cluster.Snapshot{SessionID: "mine", Registered: true, Observation: cluster.Observation{Fresh: true, Probed: true,
		View: cluster.View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9, State: cluster.State{Service: "redis-master", Histories: []string{"l"},
			Members: map[string]cluster.MemberRecord{"a": {RunID: "run-a"}, "me": {RunID: "run-me"}},
			Master:  &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}},
			LiveAgents: map[string]cluster.MemberKey{"a": {Session: "a's", RunID: "run-a"}, "me": {Session: "mine", RunID: "run-me"}}},
		Health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true, Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 9}}}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

func lockFree(k *cluster.Snapshot) { k.View.Session, k.View.Holder = "", "" }

func holdingLock(k *cluster.Snapshot) { k.View.Session, k.View.Holder = "mine", "me" }

func redisUnusable(k *cluster.Snapshot) { k.Health.Err = errors.New("no answer") }

func syncingRedis(k *cluster.Snapshot) { k.Health.Status.Syncing, k.Health.Status.LinkUp = true, false }

func parkedRedis(k *cluster.Snapshot) {
	k.Health.Status.MasterAddr, k.Health.Status.LinkUp = redis.Sink, false
}

func promoted(k *cluster.Snapshot) {
	k.Health.Status.Master, k.Health.Status.MasterAddr, k.Health.Status.LinkUp = true, "", false
}

func noState(k *cluster.Snapshot) { k.View.State = cluster.State{} }

func publishedOwn(k *cluster.Snapshot) {
	k.View.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379", Term: 5}}
}

// leading is a situation in which our Redis is the published master under our lock.
func leading(change ...func(*cluster.Snapshot)) cluster.Snapshot {
	return situation(append([]func(*cluster.Snapshot){holdingLock, promoted, publishedOwn}, change...)...)
}
