package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"resec/handlers"
)

func publishedBy(id string, term uint64, members ...string) State {
	s := State{Master: &Master{Peer: handlers.Peer{ID: id, RunID: "run-" + id, Term: term}}}
	for _, m := range members {
		s.Members = map[string]MemberRecord{m: {RunID: "run-" + m}}
	}
	return s
}

func TestLastSeen_Read(t *testing.T) {
	at := func(index uint64, s State) View { return View{Index: index, StateIndex: index, State: s} }
	back := func(v View, term uint64, s State) View {
		v.State, v.FromLastKnown, v.WentBack, v.ConsulTerm = s, true, true, term
		return v
	}
	with := func(v View, change func(*View)) View { change(&v); return v }
	newest := publishedBy("c", 3)
	pause := &Pause{Until: time.Unix(9, 0), Since: time.Unix(5, 0)}
	paused := func(index uint64) func(*View) { return func(v *View) { v.Pause, v.PauseIndex = pause, index } }
	requested := func(session string) func(*View) {
		return func(v *View) { v.Request = &Request{To: "b", Session: session} }
	}
	for _, tt := range []struct {
		name  string
		saw   []View
		shown View
		want  View
	}{
		{"a later term is believed", []View{at(9, publishedBy("a", 1))}, at(12, newest), at(12, newest)},
		{"an earlier term is not", []View{at(9, publishedBy("a", 1)), at(20, newest)}, at(9, publishedBy("a", 1)), back(at(9, State{}), 1, newest)},
		{"nor if it is written anew", []View{at(20, newest)}, at(30, publishedBy("x", 1)), back(at(30, State{}), 1, newest)},
		{"nor in the second view", []View{at(20, newest), at(9, publishedBy("a", 1))}, at(9, publishedBy("a", 1)), back(at(9, State{}), 1, newest)},
		{"another master of the same term is believed", []View{at(20, newest)}, at(9, publishedBy("a", 3)), at(9, publishedBy("a", 3))},
		{"an older version of the same term is not", []View{at(20, publishedBy("c", 3, "a"))}, at(9, newest),
			back(at(9, State{}), 3, publishedBy("c", 3, "a"))},
		{"a newer version of the same term is", []View{at(9, newest)}, at(20, publishedBy("c", 3, "a")), at(20, publishedBy("c", 3, "a"))},
		{"the same version under an older index is", []View{at(20, newest)}, at(9, newest), at(9, newest)},
		{"a missing state is replaced", []View{at(20, newest)}, View{Index: 21}, View{Index: 21, State: newest, FromLastKnown: true}},
		{"a state of a newer version is left alone", []View{at(20, newest)}, View{Index: 21, Err: ErrNewerVersion},
			View{Index: 21, State: newest, Err: ErrNewerVersion}},

		{"a pause is believed", []View{at(20, newest)}, with(at(22, newest), paused(21)), with(at(22, newest), paused(21))},
		{"one that has ended is not", []View{with(at(20, newest), paused(19)), at(22, newest)}, with(at(20, newest), paused(19)),
			with(at(20, newest), func(v *View) { v.PauseIndex, v.WentBack, v.ConsulTerm = 19, true, 3 })},
		{"its end is believed", []View{with(at(20, newest), paused(19))}, at(22, newest), at(22, newest)},
		{"unless the state is older", []View{with(at(20, newest), paused(19))}, at(9, publishedBy("a", 1)),
			with(back(at(9, State{}), 1, newest), func(v *View) { v.Pause = pause })},

		{"after all data were lost, one under a low index is believed", []View{at(20, newest), at(9, publishedBy("x", 4))},
			with(at(12, publishedBy("x", 4)), paused(11)), with(at(12, publishedBy("x", 4)), paused(11))},
		{"one that had ended is not", []View{with(at(20, newest), paused(19)), at(22, newest), at(9, publishedBy("x", 4))},
			with(at(12, publishedBy("x", 4)), paused(11)),
			with(at(12, publishedBy("x", 4)), func(v *View) { v.PauseIndex, v.WentBack, v.ConsulTerm = 11, true, 4 })},

		{"a request is believed", []View{at(20, newest)}, with(at(22, newest), requested("s")), with(at(22, newest), requested("s"))},
		{"one that has ended is not", []View{with(at(20, newest), requested("s")), at(22, newest)}, with(at(20, newest), requested("s")),
			at(20, newest)},
		{"one that is missing from an older view has not ended", []View{with(at(20, newest), requested("s")), at(19, newest)},
			with(at(20, newest), requested("s")), with(at(20, newest), requested("s"))},
		{"one that was replaced has ended", []View{with(at(20, newest), requested("s")), with(at(22, newest), requested("r"))},
			with(at(23, newest), requested("s")), at(23, newest)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l LastSeen
			for _, v := range tt.saw {
				l, _ = l.Read(v)
			}
			_, got := l.Read(tt.shown)
			if d := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); d != "" {
				t.Error(d)
			}
		})
	}
}

// What we wrote is the newest, even before the watch shows it.
func TestLastSeen_Wrote(t *testing.T) {
	l := LastSeen{}.Wrote(View{StateIndex: 20, State: publishedBy("c", 3)})
	if _, v := l.Read(View{Index: 9, StateIndex: 9, State: publishedBy("a", 1)}); !v.WentBack || v.State.Term() != 3 {
		t.Errorf("a late view is believed: %+v", v)
	}
	if l = l.Wrote(View{StateIndex: 9, State: publishedBy("a", 1)}); l.State.Term() != 3 {
		t.Errorf("an older write counts: %+v", l)
	}
}

func wentBack(k *Snapshot) { k.View.WentBack, k.View.FromLastKnown = true, true }

func TestRepairOf(t *testing.T) {
	heldByA := func(k *Snapshot) { k.View.Session, k.View.Holder = "a's", "a" }
	unfresh := func(k *Snapshot) { k.Fresh = false }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Repair
	}{
		{"nothing is older", leading(heldByA), NoRepair},
		{"Consul does not answer", leading(wentBack, unfresh), NoRepair},
		{"the master, and another session holds the lock", leading(wentBack, heldByA), TakeLockBack},
		{"the master, and the lock is free", leading(wentBack, lockFree), TakeLockBack},
		{"the master, and its session holds the lock", leading(wentBack), TakeLockBack},
		{"the master without a session", leading(wentBack, heldByA, withoutSession), WriteBack},
		{"the master, fenced by another", leading(wentBack, heldByA, fencedRedis), WriteBack},
		{"the master, restarted", leading(wentBack, heldByA, restartedRedis), WriteBack},
		{"a replica whose session holds the lock", situation(wentBack, holdingLock), ReturnLock},
		{"the same, and the master is down", situation(wentBack, holdingLock, masterDown), NoRepair},
		{"another replica, and the master is down", situation(wentBack, masterDown), NoRepair},
		{"another replica", situation(wentBack), WriteBack},
		{"another replica, and the lock is free", situation(wentBack, lockFree), NoRepair},
		{"another replica, and the state is of the same term",
			situation(wentBack, func(k *Snapshot) { k.View.ConsulTerm = k.View.State.Term() }), Believe},
		{"the same, and another member holds the lock",
			situation(wentBack, func(k *Snapshot) { k.View.ConsulTerm, k.View.Holder = k.View.State.Term(), "b" }), NoRepair},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := RepairOf(tt.k, "me"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestMayReclaim(t *testing.T) {
	led := func(k *Snapshot) { k.HasLed = true }
	for _, tt := range []struct {
		k    Snapshot
		want bool
	}{
		{leading(led, lockFree), true},
		{leading(led, wentBack, func(k *Snapshot) { k.View.Session, k.View.Holder = "a's", "a" }), true},
		{leading(led, func(k *Snapshot) { k.View.Session, k.View.Holder = "a's", "a" }), false},
		{leading(lockFree), false},
		{leading(led, lockFree, fencedRedis), false},
	} {
		if got := MayReclaim(tt.k, "me"); got != tt.want {
			t.Errorf("%t, want %t: %+v", got, tt.want, tt.k.View)
		}
	}
}

// While Consul shows an older state nobody contends, follows or leads, until that is repaired or cannot be.
func TestDecide_WentBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
	}{
		{"a replica waits", situation(wentBack), Wait},
		{"the holder waits", situation(wentBack, holdingLock), Wait},
		{"it leads if the master is down", situation(wentBack, holdingLock, masterDown), Lead},
		{"a replica preempts a master that is down", situation(wentBack, masterDown), Preempt},
		{"a free lock is contended for", situation(wentBack, lockFree), Contend},
		{"a master that was not elected is parked", situation(wentBack, promoted), Park},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := Decide(tt.k, "me", "redis-master"); got != tt.want {
				t.Errorf("%s (%s), want %s", got, why, tt.want)
			}
		})
	}
	heldByA := func(k *Snapshot) { k.View.Index, k.View.Session, k.View.Holder = 11, "a's", "a" }
	if end, ended := TermEnded(leading(wentBack, heldByA), Term{ID: "me", Session: "mine", RunID: "run-me", Number: 5}); ended {
		t.Errorf("the term has ended: %s", end)
	}
	if _, ended := TermEnded(leading(wentBack, redisUnusable), Term{ID: "me", Session: "mine", RunID: "run-me", Number: 5}); !ended {
		t.Error("the term continues although redis is unusable")
	}
}
