package agent

import (
	"context"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/member"
	"resec/scripts/lab"
)

// At a stop the lock is taken again to remove the guard, unless another member relies on it.
func TestReacquire(t *testing.T) {
	t.Parallel()
	published := master("me", "run-me", 1)
	short := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 300*time.Millisecond)
	}
	for _, tt := range []struct {
		name   string
		holder string // empty: the lock is free
		m      *cluster.Master
		known  bool // the session is the one that we know
		want   bool
	}{
		{"we hold it", "me", published, true, true},
		{"it is free", "", published, true, true},
		{"it is free, and we have no session", "", published, false, true},
		{"a session of ours that was lost holds it", "me", published, false, false},
		{"another member holds it", "b", published, true, false},
		{"another instance is published", "me", master("me", "run-new", 1), true, false},
		{"none is published", "me", nil, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := onConsul(t)
			s := session(t, a)
			v := acquire(t, a, s, tt.holder+"", tt.m)
			if tt.holder == "" {
				ok(t, a.Lock.Release(t.Context(), s.ID, v, ""))
			}
			ours := s
			if !tt.known {
				ours = nil
			}
			ctx, cancel := short()
			defer cancel()
			got, v, end, err := newController(a).reacquire(ctx, ours, "run-me")
			if (err == nil) != tt.want {
				t.Errorf("got %v", err)
			}
			if tt.want {
				equal(t, "session", got.ID, v.Session)
				equal(t, "ours", got == s, tt.holder != "")
			}
			end()
			if v, err = a.Lock.Read(t.Context()); err != nil || v.Free() != (tt.holder == "") {
				t.Errorf("after the end: %+v, %v", v, err)
			}
		})
	}
}

// A session that Consul reported as lost is adopted again if it still holds something.
func TestRereadLost(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	if _, err := a.rereadLost(t.Context(), s.ID); err == nil {
		t.Error("it holds nothing")
	}
	acquire(t, a, s, "me", nil)
	_, err := a.rereadLost(t.Context(), s.ID)
	ok(t, err)
	if _, err := a.rereadLost(t.Context(), "another"); err == nil {
		t.Error("another holds the lock")
	}
	ok(t, a.Lock.PutMember(t.Context(), cluster.MemberKey{Session: s.ID, RunID: "run-me"}))
	other := session(t, a)
	a.Lock.Member = "me"
	ok(t, a.Lock.DeleteMember(t.Context(), "me"))
	ok(t, a.Lock.PutMember(t.Context(), cluster.MemberKey{Session: other.ID, RunID: "run-me"}))
	_, err = a.rereadLost(t.Context(), other.ID)
	ok(t, err)
}

func TestOpenSession(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	keeper := &lock.Keeper{Client: a.Lock.Client, Options: lock.SessionOptions{Name: t.Name(), TTL: time.Minute}}
	open := func(lost string, know func(*member.Snapshot)) (*lock.Session, error) {
		a.known.Update(know)
		s, err := a.openSession(t.Context(), keeper, lost)
		if s != nil {
			t.Cleanup(func() { _ = s.Destroy(context.Background()) })
		}
		return s, err
	}
	if _, err := open("", func(*member.Snapshot) {}); err == nil {
		t.Error("the lock was not read")
	}
	s, err := open("", func(k *member.Snapshot) { k.Fresh = true })
	ok(t, err)
	equal(t, "adopted", a.known.Load().Adopted, "")

	v := acquire(t, a, s, "me", master("me", "run-me", 1))
	know := func(runID string) func(*member.Snapshot) {
		return func(k *member.Snapshot) { k.View, k.Fresh, k.Health.Status.RunID = v, true, runID }
	}
	got, err := open("", know("run-me"))
	ok(t, err)
	equal(t, "adopted", got.ID, s.ID)
	equal(t, "adopted", a.known.Load().Adopted, s.ID)
	got, err = open(s.ID, know("run-new")) // it was reported as lost, and holds the lock
	ok(t, err)
	equal(t, "adopted again", got.ID, s.ID)
	got, err = open("", know("run-new"))
	ok(t, err)
	equal(t, "another one, because the lock was held for another instance", got.ID != s.ID, true)
	if v, err := a.Lock.Read(t.Context()); err != nil || !v.Free() {
		t.Errorf("the predecessor's session holds the lock: %v", err)
	}
	if _, err := open(s.ID, know("run-me")); err == nil {
		t.Error("a session that was lost was adopted")
	}
}

// Another Redis under our id is no predecessor of ours.
func TestIDInUse(t *testing.T) {
	t.Parallel()
	a := bareAgent()
	r, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	a.Creds.Timeout = 5 * time.Second
	runID, err := r.Info("run_id")
	ok(t, err)
	m := master("me", runID, 1)
	m.Address = r.Addr
	equal(t, "it answers", a.idInUse(t.Context(), m, "run-me") != "", true)
	equal(t, "it is ours", a.idInUse(t.Context(), m, runID), "")
	equal(t, "none is published", a.idInUse(t.Context(), nil, "run-me"), "")
	other := *m
	other.ID = "b"
	equal(t, "another member", a.idInUse(t.Context(), &other, "run-me"), "")
	old := *m
	old.RunID = "run-old"
	equal(t, "another instance answers there", a.idInUse(t.Context(), &old, "run-me"), "")
	r.Kill()
	equal(t, "it is down", a.idInUse(t.Context(), m, "run-me"), "")
}
