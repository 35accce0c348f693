package repair

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/observe"
)

func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// repairing is the agent of "me" with a watch of the lock and a Repairer.
type repairing struct {
	lock  lock.Lock
	known *known.Value
	done  chan struct{} // receives once Consul shows the newest again
	log   expect.Log
}

// start starts one that knows k, whose view is that of Consul.
func start(t *testing.T, k known.Snapshot, l lock.Lock) *repairing {
	t.Helper()
	l.LastKnown = &lock.LastKnownState{}
	r := &repairing{lock: l, known: observable.New[known.Snapshot](), done: make(chan struct{}, 9)}
	v, err := l.Read(t.Context())
	expect.OK(t, err)
	k.View = v
	r.known.Update(func(is *known.Snapshot) { *is = k })
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	o := &observe.Observer{Lock: l, Log: log, Update: func(change func(*observe.Snapshot)) {
		r.known.Update(func(k *known.Snapshot) { change(&k.Observation) })
	}}
	repairer := &Repairer{ID: "me", Lock: l, Known: r.known, Wrote: o.Wrote, Verify: make(chan struct{}, 1),
		Done: func() { r.done <- struct{}{} }, Log: log}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = o.Run(ctx) })
	running.Go(func() { repairer.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// repaired waits until that is so, and returns the lock as Consul has it.
func (r *repairing) repaired(t *testing.T) cluster.View {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		t.Fatalf("it is not repaired:\n%s", r.log.String())
	}
	l := r.lock
	l.LastKnown = nil // what Consul has
	v, err := l.Read(t.Context())
	expect.OK(t, err)
	if n := strings.Count(r.log.String(), "event=consul_went_back"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, r.log.String())
	}
	return v
}

// restore writes keys as a snapshot would have them: an older state, with the lock under another session, in one transaction.
func restore(t *testing.T, l lock.Lock, from cluster.View, older cluster.State, holder string, to *lock.Session, more ...*api.KVTxnOp) {
	t.Helper()
	data, err := json.Marshal(older)
	expect.OK(t, err)
	ops := api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVSet, Key: l.Key + "/state", Value: data}}}
	if to != nil {
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVUnlock, Key: l.Key, Value: []byte(holder), Flags: lock.Flag, Session: from.Session}},
			&api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVLock, Key: l.Key, Value: []byte(holder), Flags: lock.Flag, Session: to.ID}})
	}
	for _, op := range more {
		ops = append(ops, &api.TxnOp{KV: op})
	}
	ok, res, _, err := l.Client.Txn().Txn(ops, nil)
	expect.OK(t, err)
	if !ok {
		t.Fatalf("%+v", res.Errors)
	}
}

// The published master's agent takes the lock back from the session that held it at the time of the snapshot.
func TestRepairer_Master(t *testing.T) {
	l := consultest.Lock(t)
	mine, theirs := consultest.Session(t, l.Client), consultest.Session(t, l.Client)
	v := consultest.Acquire(t, l, mine, "me", consultest.Master("me", "run-me", 3))
	k := knowntest.Leading()
	k.SessionID, k.Session = mine.ID, mine
	r := start(t, k, l)
	older := v.State
	older.Master = consultest.Master("a", "run-a", 1)
	restore(t, l, v, older, "a", theirs)
	is := r.repaired(t)
	if is.Session != mine.ID || is.Holder != "me" || is.State.Term() != 3 || is.State.Master.ID != "me" {
		t.Errorf("repaired: %+v", is)
	}
	if now := r.known.Load(); now.View.WentBack || now.View.Session != mine.ID {
		t.Errorf("known: %+v", now.View)
	}
}

// An agent whose session holds the lock gives it to the published master's agent, or frees it if that has no session.
func TestRepairer_Holder(t *testing.T) {
	for _, alive := range []bool{true, false} {
		l := consultest.Lock(t)
		mine, masters := consultest.Session(t, l.Client), consultest.Session(t, l.Client)
		if alive {
			m := l
			m.Member = "a"
			expect.OK(t, m.PutMember(t.Context(), cluster.MemberKey{Session: masters.ID, RunID: "run-a"}))
		}
		v := consultest.Acquire(t, l, masters, "a", consultest.Master("a", "run-a", 3))
		k := knowntest.Situation()
		k.SessionID, k.Session = mine.ID, mine
		r := start(t, k, l)
		older := v.State
		older.Master = consultest.Master("me", "run-me", 1)
		restore(t, l, v, older, "me", mine)
		want := masters.ID
		if !alive {
			want = ""
		}
		if is := r.repaired(t); is.Session != want || is.State.Term() != 3 || is.State.Master.ID != "a" {
			t.Errorf("alive %t: repaired: %+v", alive, is)
		}
	}
}

// Another agent writes the state back if neither of them does. It also puts the pause and the history right.
func TestRepairer_Other(t *testing.T) {
	l := consultest.Lock(t)
	theirs := consultest.Session(t, l.Client)
	for range 2 {
		expect.OK(t, l.AppendHistory(t.Context(), cluster.Change{To: "a", Term: 3}))
	}
	pause := cluster.Pause{Until: time.Now().Add(time.Hour).UTC(), Since: time.Now().UTC(), Reason: "why"}
	expect.OK(t, l.Pause(t.Context(), pause))
	v := consultest.Acquire(t, l, theirs, "a", consultest.Master("a", "run-a", 3))
	k := knowntest.Situation()
	r := start(t, k, l)
	expect.OK(t, l.Resume(t.Context()))
	deadline := time.After(10 * time.Second)
	for k, changed := r.known.Watch(); k.View.Pause != nil; k, changed = r.known.Watch() {
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("the end of the pause is not seen")
		}
	}
	older := v.State
	older.Master = consultest.Master("a", "run-a", 1)
	from := time.Now()
	restore(t, l, v, older, "", nil)
	is := r.repaired(t)
	if is.State.Term() != 3 || is.Session != theirs.ID || is.Holder != "a" || is.Pause != nil {
		t.Errorf("repaired: %+v", is)
	}
	if d := time.Since(from); d < Grace {
		t.Errorf("it was repaired after %s, which is the others' time", d)
	}
	if h, err := l.History(t.Context()); err != nil || len(h) != 2 {
		t.Errorf("the history is %v %v", h, err)
	}
}

// The time that the agents have for a repair begins anew after an outage of Consul.
func TestRepairable(t *testing.T) {
	since := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name string
		up   time.Time
		want time.Time
	}{
		{"no outage", time.Time{}, since},
		{"an outage before", since.Add(-time.Hour), since},
		{"an outage that ended after", since.Add(time.Hour), since.Add(time.Hour)},
	} {
		var k known.Snapshot
		k.ConsulUpSince = tt.up
		expect.Equal(t, tt.name, repairable(since, k), tt.want)
	}
}
