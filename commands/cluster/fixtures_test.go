package cluster

import (
	"errors"
	"fmt"
	"math"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

// situation is the snapshot of a healthy replica "me" that follows "a", which holds the lock and is published; then changed.
func situation(change ...func(*Snapshot)) Snapshot {
	k := Snapshot{SessionID: "mine", Registered: true, Observation: Observation{Fresh: true, Probed: true,
		View: View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9,
			State: State{Service: "redis-master", Histories: []string{"l"},
				Members: map[string]MemberRecord{"a": {RunID: "run-a"}, "me": {RunID: "run-me"}},
				Master:  &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}},
			LiveAgents: map[string]MemberKey{"a": {Session: "a's", RunID: "run-a"}, "me": {Session: "mine", RunID: "run-me"}}},
		Health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true,
			Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 9}}}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

func lockFree(k *Snapshot) { k.View.Session, k.View.Holder = "", "" }

func holdingLock(k *Snapshot) { k.View.Session, k.View.Holder = "mine", "me" }

func redisUnusable(k *Snapshot) { k.Health.Err = errors.New("no answer") }

func syncingRedis(k *Snapshot) { k.Health.Status.Syncing, k.Health.Status.LinkUp = true, false }

func neverPromoted(k *Snapshot) { k.Health.Status.Priority = 0 }

func commandRefused(k *Snapshot) {
	k.Refused = redis.MissingCommands{{Command: "REPLICAOF", ToLead: true}}
}

const commandRefusedText = "redis cannot be made master: its ACL denies REPLICAOF to resec's user"

func withoutSession(k *Snapshot) { k.SessionID = "" }

func parkedRedis(k *Snapshot) { k.Health.Status.MasterAddr, k.Health.Status.LinkUp = redis.Sink, false }

func promoted(k *Snapshot) {
	k.Health.Status.Master, k.Health.Status.MasterAddr, k.Health.Status.LinkUp = true, "", false
}

func fencedRedis(k *Snapshot) { k.Health.Status.MinReplicas = math.MaxInt32 }

func noState(k *Snapshot) { k.View.State = State{} }

const newerVersionText = "read the state: the state was written by a newer resec"

func newerVersion(k *Snapshot) { k.View.Err = fmt.Errorf("read the state: %w", ErrNewerVersion) }

func unreadable(k *Snapshot) { k.View.Err = errors.New("unexpected end of JSON input") }

func notRecorded(k *Snapshot) {
	k.View.State.Members = map[string]MemberRecord{"a": {RunID: "run-a"}}
}

func unrelated(k *Snapshot) { k.Health.Status.Position.ReplID = "z" }

// withoutData makes our Redis need a full sync.
func withoutData(k *Snapshot) {
	k.Health.Status.Keys, k.Health.Status.LinkUp, k.Health.Status.Position.Offset = 0, false, 1
}

func emptyRedis(k *Snapshot) { k.Health.Status.Keys = 0 }

func forcedToFollow(k *Snapshot) { k.View.State.Master.ForceFollow = []string{"me"} }

func restartedRedis(k *Snapshot) { k.Health.Status.RunID = "run-new" }

func masterDown(k *Snapshot) { k.Failure = MasterFailure{RunID: "run-a", Down: true} }

func masterUnreachable(k *Snapshot) { k.Failure = MasterFailure{RunID: "run-a", Unreachable: true} }

func withGuard(k *Snapshot) { k.View.State.Master.Guard = 1 }

func requested(id string) func(*Snapshot) {
	return func(k *Snapshot) { k.View.Request = &Request{To: id, Session: "operator's"} }
}

func pausedCluster(k *Snapshot) {
	k.Paused, k.View.Pause = true, &Pause{Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local), Reason: "disks"}
}

var pausedText = "paused until " + time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local).Format(time.RFC3339) + ": disks"

func publishedOwn(k *Snapshot) {
	k.View.State.Master = &Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379", Term: 5}}
}

// threeMembers is a state in which a is the master, b is in sync and j is catching up. The data went through l1 and l2.
func threeMembers(change ...func(*State)) State {
	s := State{Histories: []string{"l1", "l2"},
		Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1", Term: 4}},
		Members: map[string]MemberRecord{"a": {RunID: "run-a", Address: "a:1", InSyncTerm: 4},
			"b": {RunID: "run-b", Address: "b:1", InSyncTerm: 4}, "j": {RunID: "run-j", Address: "j:1", CatchingUp: true}},
		FormerMembers: []string{"f", "g"}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func without(ids ...string) func(*State) {
	return func(s *State) {
		for _, id := range ids {
			delete(s.Members, id)
		}
	}
}
