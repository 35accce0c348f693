package announce

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/scripts/lab"
)

// A session is opened, opened again after a loss, and destroyed at the end.
func TestKeepSession(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { a.KeepSession(ctx) })
	a.Known.Update(func(k *known.Snapshot) { k.Fresh, k.Registered, k.Probed = true, true, true })
	lost := ""
	opened := func() error {
		if id := a.Known.Load().SessionID; id == "" || id == lost {
			return fmt.Errorf("the session is %q", id)
		}
		return nil
	}
	lab.Eventually(t, expect.Patience, opened)
	lost = a.Known.Load().SessionID
	_, err := a.Lock.Client.Session().Destroy(lost, nil)
	expect.OK(t, err)
	observable.Signal(a.Verify)
	lab.Eventually(t, expect.Patience, opened)
	id := a.Known.Load().SessionID
	stop()
	done.Wait()
	expect.Equal(t, "at the end", a.Known.Load().SessionID, "")
	if s, _, err := a.Lock.Client.Session().Info(id, nil); err != nil || s != nil {
		t.Errorf("the session is left: %+v, %v", s, err)
	}
}

// A session that Consul reported as lost is adopted again if it still holds something.
func TestRereadLost(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := consultest.Session(t, a.Lock.Client)
	if _, err := a.rereadLost(t.Context(), s.ID); err == nil {
		t.Error("it holds nothing")
	}
	consultest.Acquire(t, a.Lock, s, "me", nil)
	_, err := a.rereadLost(t.Context(), s.ID)
	expect.OK(t, err)
	if _, err := a.rereadLost(t.Context(), "another"); err == nil {
		t.Error("another holds the lock")
	}
	expect.OK(t, a.Lock.PutMember(t.Context(), cluster.MemberKey{Session: s.ID, RunID: "run-me"}))
	other := consultest.Session(t, a.Lock.Client)
	a.Lock.Member = "me"
	expect.OK(t, a.Lock.DeleteMember(t.Context(), "me"))
	expect.OK(t, a.Lock.PutMember(t.Context(), cluster.MemberKey{Session: other.ID, RunID: "run-me"}))
	_, err = a.rereadLost(t.Context(), other.ID)
	expect.OK(t, err)
}

func TestOpenSession(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	keeper := &lock.Keeper{Client: a.Lock.Client, Options: lock.SessionOptions{Name: t.Name(), TTL: time.Minute}}
	open := func(lost string, know func(*known.Snapshot)) (*lock.Session, error) {
		a.Known.Update(know)
		s, err := a.openSession(t.Context(), keeper, lost)
		if s != nil {
			t.Cleanup(func() { _ = s.Destroy(context.Background()) })
		}
		return s, err
	}
	if _, err := open("", func(*known.Snapshot) {}); err == nil {
		t.Error("the lock was not read")
	}
	s, err := open("", func(k *known.Snapshot) { k.Fresh = true })
	expect.OK(t, err)
	expect.Equal(t, "adopted", a.Known.Load().Adopted, "")

	v := consultest.Acquire(t, a.Lock, s, "me", consultest.Master("me", "run-me", 1))
	know := func(runID string) func(*known.Snapshot) {
		return func(k *known.Snapshot) { k.View, k.Fresh, k.Health.Status.RunID = v, true, runID }
	}
	got, err := open("", know("run-me"))
	expect.OK(t, err)
	expect.Equal(t, "adopted", got.ID, s.ID)
	expect.Equal(t, "adopted", a.Known.Load().Adopted, s.ID)
	got, err = open(s.ID, know("run-new")) // it was reported as lost, and holds the lock
	expect.OK(t, err)
	expect.Equal(t, "adopted again", got.ID, s.ID)
	got, err = open("", know("run-new"))
	expect.OK(t, err)
	expect.Equal(t, "another one, because the lock was held for another instance", got.ID != s.ID, true)
	if v, err := a.Lock.Read(t.Context()); err != nil || !v.Free() {
		t.Errorf("the predecessor's session holds the lock: %v", err)
	}
	if _, err := open(s.ID, know("run-me")); err == nil {
		t.Error("a session that was lost was adopted")
	}
}

func TestPriorSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		k     cluster.Snapshot
		id    string
		want  string
		holds bool
	}{
		{"it holds the lock", clustertest.Situation(), "a", "a's", true},
		{"it has a key", clustertest.Situation(), "me", "mine", false},
		{"it has neither", clustertest.Situation(), "b", "", false},
		{"the lock is free", clustertest.Situation(clustertest.LockFree, func(k *cluster.Snapshot) { k.View.Holder = "a" }), "a", "a's",
			false},
	} {
		session, holds := priorSession(tt.k.View, tt.id)
		expect.Equal(t, tt.name, session, tt.want)
		expect.Equal(t, tt.name, holds, tt.holds)
	}
}

func TestPublishes(t *testing.T) {
	expect.Equal(t, "this instance", publishes(clustertest.Leading().View, "me", "run-me"), true)
	expect.Equal(t, "another instance", publishes(clustertest.Leading().View, "me", "run-new"), false)
	expect.Equal(t, "another member", publishes(clustertest.Situation().View, "me", "run-a"), false)
	expect.Equal(t, "none", publishes(cluster.View{}, "me", ""), false)
}
