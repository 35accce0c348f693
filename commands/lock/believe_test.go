package lock_test

import (
	"errors"
	"os"
	"testing"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/lock"
)

func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// What the master's agent has written anew after Consul lost its data is believed, and only that.
func TestBelieve(t *testing.T) {
	l := consultest.Lock(t)
	session := consultest.Session(t, l.Client)
	shown := consultest.Acquire(t, l, session, "a", consultest.Master("a", "run-a", 3))
	l.LastKnown = &lock.LastKnownState{}
	seen := shown
	seen.StateIndex += 1000 // under the indexes of a Consul that has lost its data since
	seen.State.Members = map[string]cluster.MemberRecord{"lost": {RunID: "run"}}
	l.LastKnown.Fill(seen)
	before, err := l.Read(t.Context())
	expect.OK(t, err)
	if !before.WentBack || before.ConsulTerm != 3 || len(before.State.Members) != 1 {
		t.Fatalf("it is not older: %+v", before)
	}
	for name, change := range map[string]func(*cluster.Master){
		"another term": func(m *cluster.Master) { m.Term++ }, "another run": func(m *cluster.Master) { m.RunID = "run-b" },
	} {
		other, m := before, *before.State.Master
		change(&m)
		other.State.Master = &m
		if _, err := l.Believe(t.Context(), other); !errors.Is(err, lock.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, err := l.Believe(t.Context(), before)
	expect.OK(t, err)
	after, err := l.Read(t.Context())
	expect.OK(t, err)
	if v.WentBack || after.WentBack || len(after.State.Members) != 0 {
		t.Errorf("it believes %+v, then %+v", v, after)
	}
	expect.OK(t, l.Release(t.Context(), session.ID, after, "why"))
	if _, err := l.Believe(t.Context(), before); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is free: %v", err)
	}
}
