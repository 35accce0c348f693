// Package clustertest has the snapshots that tests of several rooms begin with.
package clustertest

import (
	"errors"
	"math"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// Situation is what a healthy replica "me" knows while "a" holds the lock and is published, and it follows "a"; changed.
func Situation(change ...func(*cluster.Snapshot)) cluster.Snapshot {
	k := cluster.Snapshot{SessionID: "mine", Registered: true, Observation: cluster.Observation{Fresh: true, Probed: true,
		View: cluster.View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9, State: cluster.State{
			Service: "redis-master", Histories: []string{"l"},
			Members: map[string]cluster.MemberRecord{"a": {RunID: "run-a"}, "me": {RunID: "run-me"}},
			Master:  &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}},
			LiveAgents: map[string]cluster.MemberKey{"a": {Session: "a's", RunID: "run-a"}, "me": {Session: "mine", RunID: "run-me"}}},
		Health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true,
			Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 9}}}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

// LockFree makes the lock free.
func LockFree(k *cluster.Snapshot) { k.View.Session, k.View.Holder = "", "" }

// HoldingLock makes our session hold the lock.
func HoldingLock(k *cluster.Snapshot) { k.View.Session, k.View.Holder = "mine", "me" }

// RedisUnusable makes our Redis not answer.
func RedisUnusable(k *cluster.Snapshot) { k.Health.Err = errors.New("no answer") }

// SyncingRedis makes our Redis be in a full sync.
func SyncingRedis(k *cluster.Snapshot) { k.Health.Status.Syncing, k.Health.Status.LinkUp = true, false }

// ParkedRedis parks our Redis.
func ParkedRedis(k *cluster.Snapshot) {
	k.Health.Status.MasterAddr, k.Health.Status.LinkUp = redis.Sink, false
}

// Promoted makes our Redis a master.
func Promoted(k *cluster.Snapshot) {
	k.Health.Status.Master, k.Health.Status.MasterAddr, k.Health.Status.LinkUp = true, "", false
}

// NoState removes the state.
func NoState(k *cluster.Snapshot) { k.View.State = cluster.State{} }

// PublishedOwn publishes our Redis as the master of term 5.
func PublishedOwn(k *cluster.Snapshot) {
	k.View.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379", Term: 5}}
}

// Leading is a Situation in which our Redis is the published master under our lock.
func Leading(change ...func(*cluster.Snapshot)) cluster.Snapshot {
	return Situation(append([]func(*cluster.Snapshot){HoldingLock, Promoted, PublishedOwn}, change...)...)
}

// WithoutSession removes our session.
func WithoutSession(k *cluster.Snapshot) { k.SessionID = "" }

// FencedRedis fences our Redis.
func FencedRedis(k *cluster.Snapshot) { k.Health.Status.MinReplicas = math.MaxInt32 }

// NotRecorded removes us from the recorded members.
func NotRecorded(k *cluster.Snapshot) {
	k.View.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a"}}
}

// RestartedRedis makes our Redis another instance.
func RestartedRedis(k *cluster.Snapshot) { k.Health.Status.RunID = "run-new" }

// Requested is a request of an operator for that member.
func Requested(id string) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) { k.View.Request = &cluster.Request{To: id, Session: "operator's"} }
}
