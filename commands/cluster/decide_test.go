package cluster

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

// situation is what a healthy replica "me" knows while "a" holds the lock and is published, and it follows "a"; changed.
func situation(change ...func(*Snapshot)) Snapshot {
	k := Snapshot{Probed: true, SessionID: "mine", Registered: true,
		View: View{Index: 10, Session: "a's", Holder: "a", StateIndex: 9, State: State{Service: "redis-master", Histories: []string{"l"},
			Members: map[string]MemberRecord{"a": {RunID: "run-a"}, "me": {RunID: "run-me"}},
			Master:  &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379", Term: 4}}},
			LiveAgents: map[string]MemberKey{"a": {Session: "a's", RunID: "run-a"}, "me": {Session: "mine", RunID: "run-me"}}},
		Health: redis.Health{Status: redis.Status{RunID: "run-me", Version: "7.0.15", MasterAddr: "10.0.0.1:6379", LinkUp: true, Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 9}}}}
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

func withoutSession(k *Snapshot) { k.SessionID = "" }

func parkedRedis(k *Snapshot) { k.Health.Status.MasterAddr, k.Health.Status.LinkUp = redis.Sink, false }

func promoted(k *Snapshot) {
	k.Health.Status.Master, k.Health.Status.MasterAddr, k.Health.Status.LinkUp = true, "", false
}

func fencedRedis(k *Snapshot) { k.Health.Status.MinReplicas = math.MaxInt32 }

func noState(k *Snapshot) { k.View.State = State{} }

func notRecorded(k *Snapshot) {
	k.View.State.Members = map[string]MemberRecord{"a": {RunID: "run-a"}}
}

func unrelated(k *Snapshot) { k.Health.Status.Position.ReplID = "z" }

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

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
		why  string
	}{
		{"before Consul has answered nothing is done", situation(holdingLock, func(k *Snapshot) { k.View.Index = 0 }), Wait, "consul has not answered yet"},
		{"another cluster's state ends the agent, whoever holds the lock", situation(holdingLock, func(k *Snapshot) { k.View.State.Service = "cache-master" }), Misconfigured,
			`the state under the lock key belongs to another cluster: its master service is "cache-master", ours is "redis-master"; two clusters need two CONSUL_LOCK_KEYs`},
		{"a state that names no service is nobody else's", situation(lockFree, noState), Contend, "the lock is free"},
		{"a key that is no lock is left alone", situation(lockFree, func(k *Snapshot) { k.View.Err = ErrConflict }), Misconfigured, ErrConflict.Error()},
		{"a Redis that may never lead follows all the same", situation(neverPromoted, parkedRedis), Follow, "the master is a"},
		{"but takes no free lock", situation(neverPromoted, lockFree), Ineligible, "its replica-priority is 0"},
		{"an unusable Redis is made to follow nobody", situation(redisUnusable, parkedRedis), Wait, "redis is unusable: it does not answer"},
		{"before Redis has answered nothing is done", situation(holdingLock, func(k *Snapshot) { k.Probed = false }), Wait, "redis has not answered yet"},
		{"who holds the lock leads", situation(holdingLock), Lead, "this agent holds the lock"},
		{"who holds the lock over an unusable Redis gives it back", situation(holdingLock, redisUnusable), StepDown, "redis is unusable: it does not answer"},
		{"and over one that is syncing", situation(holdingLock, syncingRedis), StepDown, "redis is syncing"},
		{"no session holds no lock", situation(withoutSession, func(k *Snapshot) { k.View.Session = "" }), Wait, "there is no consul session yet"},
		{"a free lock is contended for", situation(lockFree), Contend, "the lock is free"},
		{"not without a session", situation(lockFree, withoutSession), Wait, "there is no consul session yet"},
		{"not with an unusable Redis", situation(lockFree, redisUnusable), Wait, "redis is unusable: it does not answer"},
		{"not with one that is never promoted", situation(lockFree, neverPromoted), Ineligible, "its replica-priority is 0"},
		{"an unusable Redis follows nobody", situation(parkedRedis, redisUnusable), Wait, "redis is unusable: it does not answer"},
		{"while another holds the lock, its master is followed", situation(parkedRedis), Follow, "the master is a"},
		{"a master that nobody elected is parked before anything else", situation(lockFree, promoted, restartedRedis), Park, "redis is a master that was not elected"},
		{"not before the first election: it may serve already", situation(lockFree, promoted, restartedRedis, func(k *Snapshot) { k.View.State.Master = nil }), Contend, "the lock is free"},
		{"nor one that is fenced: it takes no writes", situation(lockFree, promoted, restartedRedis, fencedRedis), Contend, "the lock is free"},
		{"what an operator wants another for is left to that one", situation(lockFree, requested("a")), Wait, "an operator requested a as master"},
		{"not to one whose agent is dead", situation(lockFree, requested("gone")), Contend, "the lock is free"},
		{"for oneself it is taken", situation(lockFree, requested("me")), Contend, "the lock is free"},
		{"who holds the lock passes it to whom an operator wants", situation(holdingLock, requested("a")), TransferLock, "an operator requested a as master"},
		{"nobody contends while the cluster is paused", situation(lockFree, pausedCluster), Wait, "the cluster is " + pausedText},
		{"nor follows", situation(parkedRedis, pausedCluster), Wait, "the cluster is " + pausedText},
		{"nor is parked", situation(lockFree, promoted, restartedRedis, pausedCluster), Wait, "the cluster is " + pausedText},
		{"a lock that was passed to us before goes back to the master", situation(holdingLock, pausedCluster), StepDown, "the cluster is " + pausedText},
		{"nor gives the lock back over an unusable Redis", situation(holdingLock, publishedOwn, redisUnusable, pausedCluster), Wait, "the cluster is " + pausedText},
		{"but who is the master takes its lost lock again", leading(lockFree, pausedCluster), Contend, "the lock is free"},
		{"and goes on to lead, whatever an operator wants", leading(pausedCluster, requested("a")), Lead, "this agent holds the lock"},
		{"a master that is gone while its session stands is succeeded early", situation(parkedRedis, masterDown), Preempt, "the master a is down or unreachable, and its session still holds the lock"},
		{"one that is silent, too, if it has a guard", situation(masterUnreachable, withGuard), Preempt, "the master a is down or unreachable, and its session still holds the lock"},
		{"not without: it may accept writes", situation(parkedRedis, masterUnreachable), Follow, "the master is a"},
		{"not another run than the published one", situation(parkedRedis, masterDown, func(k *Snapshot) { k.View.State.Master.RunID = "run-b" }), Follow, "the master is a"},
		{"not where another than the published one holds the lock", situation(parkedRedis, masterDown, func(k *Snapshot) { k.View.Holder = "b" }), Wait, "the lock holder has not published itself as master yet"},
		{"not by one that may not lead", situation(parkedRedis, masterDown, neverPromoted), Follow, "the master is a"},
		{"nor by one that is not recorded", situation(parkedRedis, masterDown, notRecorded), Wait, "the master's agent has not recorded this member yet"},
		{"nor without a session", situation(parkedRedis, masterDown, withoutSession), Follow, "the master is a"},
		{"nor against an operator's will", situation(parkedRedis, masterDown, requested("a")), Follow, "the master is a"},
		{"nor while the cluster is paused", situation(parkedRedis, masterDown, pausedCluster), Wait, "the cluster is " + pausedText},
		{"nor is it passed to one whose agent is dead", situation(holdingLock, requested("gone")), Lead, "this agent holds the lock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := Decide(tt.k, "me", "redis-master"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want string
	}{
		{"a linked replica is usable", situation(), ""},
		{"so is a parked one", situation(parkedRedis), ""},
		{"so is a master", situation(promoted), ""},
		{"so is a fenced one", situation(promoted, fencedRedis), ""},
		{"one that does not answer is not", situation(redisUnusable), "redis is unusable: it does not answer"},
		{"nor one that is loading", situation(func(k *Snapshot) { k.Health.Err = redis.ErrLoading }), "redis is unusable: redis is loading its data set"},
		{"nor one that is syncing", situation(syncingRedis), "redis is syncing"},
		{"nor one with priority 0", situation(neverPromoted), "its replica-priority is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := UnusableReason(tt.k.Health); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

const refusedText = "refused: its 1 keys were never this cluster's, and following would wipe them; `resec failover -to ID -force` overrides"

func TestWhomToFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
		why  string
	}{
		{"nobody where none was published", situation(parkedRedis, noState), Wait, "the lock holder has not published itself as master yet"},
		{"nobody while the one before is published still", situation(parkedRedis, func(k *Snapshot) { k.View.Holder = "b" }), Wait, "the lock holder has not published itself as master yet"},
		{"not another that holds the lock under our name", situation(publishedOwn, func(k *Snapshot) { k.View.Holder, k.View.State.Master.RunID = "me", "run-other" }), Wait,
			"the lock is held under our member id, or the published master is our redis"},
		{"not this very Redis under another name", situation(promoted, func(k *Snapshot) { k.View.State.Master.RunID = "run-me" }), Wait, "the lock is held under our member id, or the published master is our redis"},
		{"whom it follows it goes on to follow", situation(), Wait, "following a"},
		{"also while the link is down", situation(func(k *Snapshot) { k.Health.Status.LinkUp = false }), Wait, "following a"},
		{"a fence is to be ended", situation(fencedRedis), Follow, "the master is a"},
		{"a parked one follows", situation(parkedRedis), Follow, "the master is a"},
		{"a master that lost the lock follows", situation(promoted), Follow, "the master is a"},
		{"one that was restarted follows by its recorded id, whatever lineage its file began", situation(parkedRedis, restartedRedis, unrelated), Follow, "the master is a"},
		{"one that is not recorded waits for it", situation(parkedRedis, notRecorded), Wait, "the master's agent has not recorded this member yet"},
		{"parked", situation(promoted, notRecorded, restartedRedis), Park, "the master's agent has not recorded this member yet"},
		{"one that follows already is not disturbed", situation(notRecorded), Wait, "following a"},
		{"without a record, as under elect, nobody waits for one", situation(parkedRedis, func(k *Snapshot) { k.View.State.Members = nil }), Follow, "the master is a"},
		{"one whose data were never the cluster's is parked", situation(promoted, notRecorded, unrelated), Park, refusedText},
		{"and stays", situation(parkedRedis, notRecorded, unrelated), Park, refusedText},
		{"an empty one has nothing to lose", situation(parkedRedis, notRecorded, unrelated, emptyRedis), Wait, "the master's agent has not recorded this member yet"},
		{"an operator can overrule it", situation(parkedRedis, notRecorded, unrelated, forcedToFollow), Follow, "an operator forces this member to follow a"},
		{"a master that nobody elected is parked while nobody is published",
			situation(promoted, restartedRedis, func(k *Snapshot) { k.View.Holder = "b" }), Park, "redis is a master that was not elected"},
		{"who follows another follows the published one", situation(func(k *Snapshot) { k.Health.Status.MasterAddr = "10.0.0.2:6379" }), Follow, "the master is a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := decideFollow(tt.k, "me"); got != tt.want || why != tt.why {
				t.Errorf("got %d (%s), want %d (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestVacancy(t *testing.T) {
	t0 := time.Now()
	sec := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	var v Leaderless
	quiet := func(what string, at time.Time, want int) {
		t.Helper()
		if got := v.QuietFor(at); got != time.Duration(want)*time.Second {
			t.Errorf("%s: quiet for %s, want %d s", what, got, want)
		}
	}
	v = v.Advance(situation(), sec(0))
	quiet("while another holds the lock", sec(9), 0)
	v = v.Advance(situation(lockFree), sec(10))
	quiet("before anybody has looked nothing is known", sec(13), 0)
	v = v.Observe(false, sec(14)).Observe(false, sec(16))
	quiet("since the first look that found none", sec(16), 2)
	v = v.Observe(true, sec(17))
	quiet("one look that finds somebody ends it", sec(19), 0)
	v = v.Advance(situation(lockFree), sec(19)).Observe(false, sec(20))
	quiet("and it begins anew", sec(21), 1)
	v = v.Advance(situation(holdingLock), sec(22))
	quiet("also while we hold the lock and may fail", sec(22), 2)
	v = v.Advance(situation(func(k *Snapshot) { k.View.Index = 0 }), sec(23))
	quiet("Consul being away changes nothing", sec(23), 3)
	v = v.Advance(situation(), sec(24))
	quiet("another holds it again", sec(25), 0)
	if v = v.Advance(situation(lockFree), sec(30)); v.Since != sec(30) {
		t.Errorf("an earlier vacancy counts: since %s", v.Since)
	}
	unseen := func(k *Snapshot) { m := *k.View.State.Master; m.Term++; k.View.State.Master = &m }
	if v = v.Observe(false, sec(31)).Advance(situation(lockFree, unseen), sec(32)); v.Since != sec(32) || v.QuietFor(sec(33)) != 0 {
		t.Errorf("a vacancy before a reign that was over before we looked counts: since %s", v.Since)
	}
}

func TestUnsettled(t *testing.T) {
	rec := func(id string) MemberRecord {
		return MemberRecord{RunID: "run-" + id, Address: id + ":1", InSyncTerm: 3}
	}
	here := func(id string) MemberKey {
		return MemberKey{Session: id + "'s", RunID: "run-" + id, Address: id + ":1"}
	}
	joining, new, moved := rec("joining"), here("new"), here("moved")
	earlier := rec("earlier")
	earlier.InSyncTerm = 2
	joining.CatchingUp, new.RunID, moved.Address = true, "run-2", "elsewhere:1"
	v := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "me", Term: 3}}, Members: map[string]MemberRecord{"me": rec("me"), "settled": rec("settled"), "joining": joining, "new": rec("new"),
		"moved": rec("moved"), "dead": rec("dead"), "gone": rec("gone"), "earlier": earlier}},
		LiveAgents: map[string]MemberKey{"settled": here("settled"), "joining": here("joining"), "new": new, "moved": moved,
			"dead": {RunID: "run-dead"}, "newcomer": here("newcomer"), "earlier": here("earlier"), "departed": {RunID: "run-departed"}}}
	if d := cmp.Diff([]string{"dead", "earlier", "gone", "joining", "moved", "new", "newcomer"}, PendingMembers(v, "me")); d != "" {
		t.Error(d)
	}
}
