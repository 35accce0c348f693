package agent

import (
	"errors"
	"math"
	"testing"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// situation is what a healthy replica "me" knows while "a" holds the lock and is published, and it follows "a"; changed.
func situation(change ...func(*known)) known {
	k := known{seen: true, session: &lock.Session{ID: "mine"}, registered: true,
		view: lock.View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9, State: lock.State{Service: "redis-master",
			Master: &lock.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}}},
		health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", Of: "10.0.0.1:6379", LinkUp: true, Keys: 1, Priority: 100}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

func free(k *known)        { k.view.Session, k.view.Holder = "", "" }
func ours(k *known)        { k.view.Session, k.view.Holder = "mine", "me" }
func ill(k *known)         { k.health.Err = errors.New("no answer") }
func syncing(k *known)     { k.health.Status.Syncing, k.health.Status.LinkUp = true, false }
func never(k *known)       { k.health.Status.Priority = 0 }
func sessionless(k *known) { k.session = nil }
func parked(k *known)      { k.health.Status.Of, k.health.Status.LinkUp = redis.Sink, false }
func own(k *known) {
	k.health.Status.Master, k.health.Status.Of, k.health.Status.LinkUp = true, "", false
}
func fenced(k *known)      { k.health.Status.MinReplicas = math.MaxInt32 }
func unpublished(k *known) { k.view.State = lock.State{} }
func published(k *known) {
	k.view.State.Master = &lock.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379", Term: 5}}
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    known
		want step
		why  string
	}{
		{"before Consul has answered nothing is done", situation(ours, func(k *known) { k.view.Index = 0 }), wait, "consul has not answered yet"},
		{"another cluster's state ends the agent, whoever holds the lock", situation(ours, func(k *known) { k.view.State.Service = "cache-master" }), quit,
			`the state under the lock key is another cluster's: it names the service "cache-master", ours is "redis-master": two clusters need two CONSUL_LOCK_KEYs`},
		{"a state that names no service is nobody else's", situation(free, unpublished), contend, "the lock is free"},
		{"a key that is no lock is left alone", situation(free, func(k *known) { k.view.Err = lock.ErrConflict }), quit, lock.ErrConflict.Error()},
		{"a Redis that may never lead follows all the same", situation(never, parked), follow, "the master is a"},
		{"but takes no free lock", situation(never, free), wait, "its replica-priority is 0"},
		{"an unusable Redis is made to follow nobody", situation(ill, parked), wait, "redis is unusable: it does not answer"},
		{"before Redis has answered nothing is done", situation(ours, func(k *known) { k.seen = false }), wait, "redis has not answered yet"},
		{"who holds the lock leads", situation(ours), lead, "the lock is ours"},
		{"who holds the lock over an unusable Redis gives it back", situation(ours, ill), yield, "redis is unusable: it does not answer"},
		{"and over one that is syncing", situation(ours, syncing), yield, "redis is syncing"},
		{"no session holds no lock", situation(sessionless, func(k *known) { k.view.Session = "" }), wait, "there is no session yet"},
		{"a free lock is contended for", situation(free), contend, "the lock is free"},
		{"not without a session", situation(free, sessionless), wait, "there is no session yet"},
		{"not with an unusable Redis", situation(free, ill), wait, "redis is unusable: it does not answer"},
		{"not with one that is never promoted", situation(free, never), wait, "its replica-priority is 0"},
		{"an unusable Redis follows nobody", situation(parked, ill), wait, "redis is unusable: it does not answer"},
		{"while another holds the lock, its master is followed", situation(parked), follow, "the master is a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := next(tt.k, "me", "redis-master"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    known
		want string
	}{
		{"a linked replica is usable", situation(), ""},
		{"so is a parked one", situation(parked), ""},
		{"so is a master", situation(own), ""},
		{"so is a fenced one", situation(own, fenced), ""},
		{"one that does not answer is not", situation(ill), "redis is unusable: it does not answer"},
		{"nor one that is loading", situation(func(k *known) { k.health.Err = redis.ErrLoading }), "redis is unusable: redis is loading its data set"},
		{"nor one that is syncing", situation(syncing), "redis is syncing"},
		{"nor one with priority 0", situation(never), "its replica-priority is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := unusable(tt.k.health); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhomToFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    known
		want step
		why  string
	}{
		{"nobody where none was published", situation(parked, unpublished), wait, "the lock's holder has not published itself yet"},
		{"nobody while the one before is published still", situation(parked, func(k *known) { k.view.Holder = "b" }), wait, "the lock's holder has not published itself yet"},
		{"not another that holds the lock under our name", situation(published, func(k *known) { k.view.Holder, k.view.State.Master.RunID = "me", "run-other" }), wait,
			"the lock is held under our own name"},
		{"not this very Redis under another name", situation(own, func(k *known) { k.view.State.Master.RunID = "run-me" }), wait, "the lock is held under our own name"},
		{"whom it follows it goes on to follow", situation(), wait, "following a"},
		{"also while the link is down", situation(func(k *known) { k.health.Status.LinkUp = false }), wait, "following a"},
		{"a fence is to be ended", situation(fenced), follow, "the master is a"},
		{"a parked one follows", situation(parked), follow, "the master is a"},
		{"a master that lost the lock follows", situation(own), follow, "the master is a"},
		{"who follows another follows the published one", situation(func(k *known) { k.health.Status.Of = "10.0.0.2:6379" }), follow, "the master is a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := whomToFollow(tt.k, "me"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}
