package agent

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// situation is what a healthy replica "me" knows while "a" holds the lock and is published, and it follows "a"; changed.
func situation(change ...func(*snapshot)) snapshot {
	k := snapshot{probed: true, session: &lock.Session{ID: "mine"}, registered: true,
		view: cluster.View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9, State: cluster.State{Service: "redis-master", Histories: []string{"l"},
			Members: map[string]cluster.MemberRecord{"a": {RunID: "run-a"}, "me": {RunID: "run-me"}},
			Master:  &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}},
			LiveAgents: map[string]cluster.MemberKey{"a": {Session: "a's", RunID: "run-a"}, "me": {Session: "mine", RunID: "run-me"}}},
		health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true, Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 9}}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

func free(k *snapshot)        { k.view.Session, k.view.Holder = "", "" }
func ours(k *snapshot)        { k.view.Session, k.view.Holder = "mine", "me" }
func ill(k *snapshot)         { k.health.Err = errors.New("no answer") }
func syncing(k *snapshot)     { k.health.Status.Syncing, k.health.Status.LinkUp = true, false }
func never(k *snapshot)       { k.health.Status.Priority = 0 }
func sessionless(k *snapshot) { k.session = nil }
func parked(k *snapshot)      { k.health.Status.MasterAddr, k.health.Status.LinkUp = redis.Sink, false }
func own(k *snapshot) {
	k.health.Status.Master, k.health.Status.MasterAddr, k.health.Status.LinkUp = true, "", false
}
func fenced(k *snapshot)      { k.health.Status.MinReplicas = math.MaxInt32 }
func unpublished(k *snapshot) { k.view.State = cluster.State{} }
func unrecorded(k *snapshot) {
	k.view.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a"}}
}
func foreign(k *snapshot)   { k.health.Status.Position.ReplID = "z" }
func empty(k *snapshot)     { k.health.Status.Keys = 0 }
func overruled(k *snapshot) { k.view.State.Master.ForceFollow = []string{"me"} }
func restarted(k *snapshot) { k.health.Status.RunID = "run-new" }
func gonest(k *snapshot)    { k.failure = masterFailure{run: "run-a", down: true} }
func mute(k *snapshot)      { k.failure = masterFailure{run: "run-a", unreachable: true} }
func guarded(k *snapshot)   { k.view.State.Master.Guard = 1 }
func asked(id string) func(*snapshot) {
	return func(k *snapshot) { k.view.Request = &cluster.Request{To: id, Session: "operator's"} }
}
func paused(k *snapshot) {
	k.paused, k.view.Pause = true, &cluster.Pause{Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local), Reason: "disks"}
}

var pausedText = "paused until " + time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local).Format(time.RFC3339) + ": disks"

func published(k *snapshot) {
	k.view.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379", Term: 5}}
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    snapshot
		want step
		why  string
	}{
		{"before Consul has answered nothing is done", situation(ours, func(k *snapshot) { k.view.Index = 0 }), wait, "consul has not answered yet"},
		{"another cluster's state ends the agent, whoever holds the lock", situation(ours, func(k *snapshot) { k.view.State.Service = "cache-master" }), misconfigured,
			`the state under the lock key is another cluster's: it names the service "cache-master", ours is "redis-master": two clusters need two CONSUL_LOCK_KEYs`},
		{"a state that names no service is nobody else's", situation(free, unpublished), contend, "the lock is free"},
		{"a key that is no lock is left alone", situation(free, func(k *snapshot) { k.view.Err = cluster.ErrConflict }), misconfigured, cluster.ErrConflict.Error()},
		{"a Redis that may never lead follows all the same", situation(never, parked), follow, "the master is a"},
		{"but takes no free lock", situation(never, free), ineligible, "its replica-priority is 0"},
		{"an unusable Redis is made to follow nobody", situation(ill, parked), wait, "redis is unusable: it does not answer"},
		{"before Redis has answered nothing is done", situation(ours, func(k *snapshot) { k.probed = false }), wait, "redis has not answered yet"},
		{"who holds the lock leads", situation(ours), lead, "the lock is ours"},
		{"who holds the lock over an unusable Redis gives it back", situation(ours, ill), stepDown, "redis is unusable: it does not answer"},
		{"and over one that is syncing", situation(ours, syncing), stepDown, "redis is syncing"},
		{"no session holds no lock", situation(sessionless, func(k *snapshot) { k.view.Session = "" }), wait, "there is no session yet"},
		{"a free lock is contended for", situation(free), contend, "the lock is free"},
		{"not without a session", situation(free, sessionless), wait, "there is no session yet"},
		{"not with an unusable Redis", situation(free, ill), wait, "redis is unusable: it does not answer"},
		{"not with one that is never promoted", situation(free, never), ineligible, "its replica-priority is 0"},
		{"an unusable Redis follows nobody", situation(parked, ill), wait, "redis is unusable: it does not answer"},
		{"while another holds the lock, its master is followed", situation(parked), follow, "the master is a"},
		{"a master that nobody elected is parked before anything else", situation(free, own, restarted), park, "redis is a master that nobody elected"},
		{"not before the first election: it may serve already", situation(free, own, restarted, func(k *snapshot) { k.view.State.Master = nil }), contend, "the lock is free"},
		{"nor one that is fenced: it takes no writes", situation(free, own, restarted, fenced), contend, "the lock is free"},
		{"what an operator wants another for is left to that one", situation(free, asked("a")), wait, "an operator wants a"},
		{"not to one whose agent is dead", situation(free, asked("gone")), contend, "the lock is free"},
		{"for oneself it is taken", situation(free, asked("me")), contend, "the lock is free"},
		{"who holds the lock passes it to whom an operator wants", situation(ours, asked("a")), transferLock, "an operator wants a"},
		{"nobody contends while the cluster is paused", situation(free, paused), wait, "the cluster is " + pausedText},
		{"nor follows", situation(parked, paused), wait, "the cluster is " + pausedText},
		{"nor is parked", situation(free, own, restarted, paused), wait, "the cluster is " + pausedText},
		{"a lock that was passed to us before goes back to the master", situation(ours, paused), stepDown, "the cluster is " + pausedText},
		{"nor gives the lock back over an unusable Redis", situation(ours, published, ill, paused), wait, "the cluster is " + pausedText},
		{"but who is the master takes its lost lock again", reigning(free, paused), contend, "the lock is free"},
		{"and goes on to lead, whatever an operator wants", reigning(paused, asked("a")), lead, "the lock is ours"},
		{"a master that is gone while its session stands is succeeded early", situation(parked, gonest), preempt, "the master a is missing, and holds the lock"},
		{"one that is silent, too, if it has a guard", situation(mute, guarded), preempt, "the master a is missing, and holds the lock"},
		{"not without: it may accept writes", situation(parked, mute), follow, "the master is a"},
		{"not another run than the published one", situation(parked, gonest, func(k *snapshot) { k.view.State.Master.RunID = "run-b" }), follow, "the master is a"},
		{"not where another than the published one holds the lock", situation(parked, gonest, func(k *snapshot) { k.view.Holder = "b" }), wait, "the lock's holder has not published itself yet"},
		{"not by one that may not lead", situation(parked, gonest, never), follow, "the master is a"},
		{"nor by one that is not recorded", situation(parked, gonest, unrecorded), wait, "the master's agent has not recorded us yet"},
		{"nor without a session", situation(parked, gonest, sessionless), follow, "the master is a"},
		{"nor against an operator's will", situation(parked, gonest, asked("a")), follow, "the master is a"},
		{"nor while the cluster is paused", situation(parked, gonest, paused), wait, "the cluster is " + pausedText},
		{"nor is it passed to one whose agent is dead", situation(ours, asked("gone")), lead, "the lock is ours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := decide(tt.k, "me", "redis-master"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    snapshot
		want string
	}{
		{"a linked replica is usable", situation(), ""},
		{"so is a parked one", situation(parked), ""},
		{"so is a master", situation(own), ""},
		{"so is a fenced one", situation(own, fenced), ""},
		{"one that does not answer is not", situation(ill), "redis is unusable: it does not answer"},
		{"nor one that is loading", situation(func(k *snapshot) { k.health.Err = redis.ErrLoading }), "redis is unusable: redis is loading its data set"},
		{"nor one that is syncing", situation(syncing), "redis is syncing"},
		{"nor one with priority 0", situation(never), "its replica-priority is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := unusableReason(tt.k.health); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

const refusedText = "refused: its 1 keys were never this cluster's, and following would wipe them; `resec failover -to ID -force` overrides"

func TestWhomToFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    snapshot
		want step
		why  string
	}{
		{"nobody where none was published", situation(parked, unpublished), wait, "the lock's holder has not published itself yet"},
		{"nobody while the one before is published still", situation(parked, func(k *snapshot) { k.view.Holder = "b" }), wait, "the lock's holder has not published itself yet"},
		{"not another that holds the lock under our name", situation(published, func(k *snapshot) { k.view.Holder, k.view.State.Master.RunID = "me", "run-other" }), wait,
			"the lock is held under our own name"},
		{"not this very Redis under another name", situation(own, func(k *snapshot) { k.view.State.Master.RunID = "run-me" }), wait, "the lock is held under our own name"},
		{"whom it follows it goes on to follow", situation(), wait, "following a"},
		{"also while the link is down", situation(func(k *snapshot) { k.health.Status.LinkUp = false }), wait, "following a"},
		{"a fence is to be ended", situation(fenced), follow, "the master is a"},
		{"a parked one follows", situation(parked), follow, "the master is a"},
		{"a master that lost the lock follows", situation(own), follow, "the master is a"},
		{"one that was restarted follows by its recorded id, whatever lineage its file began", situation(parked, restarted, foreign), follow, "the master is a"},
		{"one that is not recorded waits for it", situation(parked, unrecorded), wait, "the master's agent has not recorded us yet"},
		{"parked", situation(own, unrecorded, restarted), park, "the master's agent has not recorded us yet"},
		{"one that follows already is not disturbed", situation(unrecorded), wait, "following a"},
		{"without a record, as under elect, nobody waits for one", situation(parked, func(k *snapshot) { k.view.State.Members = nil }), follow, "the master is a"},
		{"one whose data were never the cluster's is parked", situation(own, unrecorded, foreign), park, refusedText},
		{"and stays", situation(parked, unrecorded, foreign), park, refusedText},
		{"an empty one has nothing to lose", situation(parked, unrecorded, foreign, empty), wait, "the master's agent has not recorded us yet"},
		{"an operator can overrule it", situation(parked, unrecorded, foreign, overruled), follow, "an operator wants the master to be a"},
		{"a master that nobody elected is parked while nobody is published",
			situation(own, restarted, func(k *snapshot) { k.view.Holder = "b" }), park, "redis is a master that nobody elected"},
		{"who follows another follows the published one", situation(func(k *snapshot) { k.health.Status.MasterAddr = "10.0.0.2:6379" }), follow, "the master is a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := followDecision(tt.k, "me"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestVacancy(t *testing.T) {
	t0 := time.Now()
	sec := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	var v leaderless
	quiet := func(what string, at time.Time, want int) {
		t.Helper()
		if got := v.quietFor(at); got != time.Duration(want)*time.Second {
			t.Errorf("%s: quiet for %s, want %d s", what, got, want)
		}
	}
	v = v.advance(situation(), sec(0))
	quiet("while another holds the lock", sec(9), 0)
	v = v.advance(situation(free), sec(10))
	quiet("before anybody has looked nothing is known", sec(13), 0)
	v = v.observe(false, sec(14)).observe(false, sec(16))
	quiet("since the first look that found none", sec(16), 2)
	v = v.observe(true, sec(17))
	quiet("one look that finds somebody ends it", sec(19), 0)
	v = v.advance(situation(free), sec(19)).observe(false, sec(20))
	quiet("and it begins anew", sec(21), 1)
	v = v.advance(situation(ours), sec(22))
	quiet("also while we hold the lock and may fail", sec(22), 2)
	v = v.advance(situation(func(k *snapshot) { k.view.Index = 0 }), sec(23))
	quiet("Consul being away changes nothing", sec(23), 3)
	v = v.advance(situation(), sec(24))
	quiet("another holds it again", sec(25), 0)
	if v = v.advance(situation(free), sec(30)); v.since != sec(30) {
		t.Errorf("an earlier vacancy counts: since %s", v.since)
	}
	unseen := func(k *snapshot) { m := *k.view.State.Master; m.Term++; k.view.State.Master = &m }
	if v = v.observe(false, sec(31)).advance(situation(free, unseen), sec(32)); v.since != sec(32) || v.quietFor(sec(33)) != 0 {
		t.Errorf("a vacancy before a reign that was over before we looked counts: since %s", v.since)
	}
}

func TestOthers(t *testing.T) {
	v := cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]cluster.MemberRecord{
		"a": {RunID: "run-a", Address: "a:1"}, "me": {RunID: "run-me", Address: "me:1"}, "b": {RunID: "run-b", Address: "b:1"}, "c": {RunID: "run-c", Address: "c:1"}}},
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-new", Address: "new:1"}, "x": {Session: "x's", RunID: "run-x", Address: "x:1"}}}
	want := []takeover.RecordedPeer{ // the recorded ones but us, where their agents say that they are
		{ID: "a", Address: "a:1"},
		{ID: "b", Address: "new:1", Session: "b's"},
		{ID: "c", Address: "c:1"},
	}
	if d := cmp.Diff(want, recordedPeers(v, "me")); d != "" {
		t.Error(d)
	}
}

func TestUnsettled(t *testing.T) {
	rec := func(id string) cluster.MemberRecord {
		return cluster.MemberRecord{RunID: "run-" + id, Address: id + ":1", InSyncTerm: 3}
	}
	here := func(id string) cluster.MemberKey {
		return cluster.MemberKey{Session: id + "'s", RunID: "run-" + id, Address: id + ":1"}
	}
	joining, new, moved := rec("joining"), here("new"), here("moved")
	earlier := rec("earlier")
	earlier.InSyncTerm = 2
	joining.CatchingUp, new.RunID, moved.Address = true, "run-2", "elsewhere:1"
	v := cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "me", Term: 3}}, Members: map[string]cluster.MemberRecord{"me": rec("me"), "settled": rec("settled"), "joining": joining, "new": rec("new"),
		"moved": rec("moved"), "dead": rec("dead"), "gone": rec("gone"), "earlier": earlier}},
		LiveAgents: map[string]cluster.MemberKey{"settled": here("settled"), "joining": here("joining"), "new": new, "moved": moved,
			"dead": {RunID: "run-dead"}, "newcomer": here("newcomer"), "earlier": here("earlier"), "departed": {RunID: "run-departed"}}}
	if d := cmp.Diff([]string{"dead", "earlier", "gone", "joining", "moved", "new", "newcomer"}, pendingMembers(v, "me")); d != "" {
		t.Error(d)
	}
}
