package agent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/commands/survey"
	"resec/handlers"
	"resec/scripts/lab"
)

// onConsul is the agent of "me" on the real Consul, with a lock of its own and without watches: a test says what it knows.
func onConsul(t *testing.T) *Agent {
	t.Helper()
	c, err := consul()
	ok(t, err)
	a := bareAgent()
	a.Lock = lock.Lock{Client: c.Client, Key: "unit/" + t.Name() + "/.lock", Member: "me"}
	a.Session.Name = t.Name()
	a.hooks = hooks.New(nil, a.Metrics.HookFailed, a.Log)
	a.advertised = observable.New[catalog.Entry]()
	a.observer = &observe.Observer{Lock: a.Lock, Log: a.Log, Update: func(change func(*observe.Snapshot)) {
		a.known.Update(func(k *snapshot) { change(&k.Observation) })
	}}
	a.surveyor = &survey.Surveyor{ID: "me", Lock: a.Lock, Naming: a.Registrar.Naming, Log: a.Log}
	return a
}

// session makes a session that ends with the test.
func session(t *testing.T, a *Agent) *lock.Session {
	t.Helper()
	s, err := lock.NewSession(t.Context(), a.Lock.Client, lock.SessionOptions{Name: t.Name(), TTL: time.Minute})
	ok(t, err)
	t.Cleanup(func() { _ = s.Destroy(context.Background()) })
	return s
}

// acquire makes a member hold the lock, with that master published; nil: none.
func acquire(t *testing.T, a *Agent, s *lock.Session, id string, m *cluster.Master) cluster.View {
	t.Helper()
	l := a.Lock
	l.Member = id
	v, err := l.Read(t.Context())
	ok(t, err)
	v, err = l.Acquire(t.Context(), s.ID, v, cluster.State{Service: "redis-master", Master: m})
	ok(t, err)
	return v
}

func master(id, runID string, term uint64) *cluster.Master {
	return &cluster.Master{Peer: handlers.Peer{ID: id, RunID: runID, Address: "127.0.0.1:2", Term: term}}
}

// answering is a Consul that gives one answer.
func answering(t *testing.T, h http.HandlerFunc) *api.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := api.NewClient(&api.Config{Address: s.URL, Transport: transport})
	ok(t, err)
	return client
}

// A master's entry is registered only while no other member is the master.
func TestConfirmMaster(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	entry := catalog.Entry{Role: catalog.Master}
	ok(t, a.confirmMaster(t.Context(), entry)) // no lock, no state
	ours, theirs := session(t, a), session(t, a)
	v := acquire(t, a, ours, "me", master("me", "run-me", 1))
	ok(t, a.confirmMaster(t.Context(), entry))
	ok(t, a.Lock.Release(t.Context(), ours.ID, v, ""))
	ok(t, a.confirmMaster(t.Context(), entry))
	v = acquire(t, a, theirs, "b", master("me", "run-me", 1))
	if err := a.confirmMaster(t.Context(), entry); !errors.Is(err, errNotHolder) {
		t.Errorf("another member holds the lock: %v", err)
	}
	ok(t, a.confirmMaster(t.Context(), catalog.Entry{Role: catalog.Replica}))
	ok(t, a.Lock.Release(t.Context(), theirs.ID, v, ""))
	acquire(t, a, ours, "me", master("b", "run-b", 1))
	if err := a.confirmMaster(t.Context(), entry); !errors.Is(err, errNotHolder) {
		t.Errorf("another member is published: %v", err)
	}
	a.observer.Lock.Client = answering(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no leader", http.StatusInternalServerError)
	})
	ok(t, a.confirmMaster(t.Context(), entry)) // it tells no other agent
	a.observer.Lock.Client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := a.confirmMaster(t.Context(), entry); err == nil || errors.Is(err, errNotHolder) {
		t.Errorf("consul does not answer: %v", err)
	}
}

// The published master must still hold the lock before our Redis follows it.
func TestConfirmHolder(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	k := snapshot{}
	k.View = acquire(t, a, s, "b", master("b", "run-b", 1))
	ok(t, a.confirmHolder(t.Context(), k))
	restarted := k
	restarted.View.State.Master = master("b", "run-old", 1)
	if err := a.confirmHolder(t.Context(), restarted); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("another instance: %v", err)
	}
	ok(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is free: %v", err)
	}
	a.observer.Lock.Client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, errUnconfirmed) {
		t.Errorf("consul does not answer: %v", err)
	}
}

// Why a holder releases the lock is written only if that holder was published.
func TestRelease(t *testing.T) {
	t.Parallel()
	published := master("me", "run-me", 1)
	for _, tt := range []struct {
		name   string
		m      *cluster.Master
		known  bool // the view that is known is the newest
		want   string
		answer bool // an operator wants us as master
	}{
		{"published", published, true, cluster.WhyDead, false},
		{"published, and the view is old", published, false, cluster.WhyDead, false},
		{"not published", master("b", "run-b", 1), true, "", false},
		{"none is published", nil, true, "", false},
		{"an operator wants us", published, true, cluster.WhyDead, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := onConsul(t)
			s := session(t, a)
			v := acquire(t, a, s, "me", tt.m)
			if tt.answer {
				end, err := a.Lock.CreateRequest(t.Context(), cluster.Request{To: "me"})
				ok(t, err)
				defer func() { ok(t, end(t.Context())) }()
				v, err = a.Lock.Read(t.Context())
				ok(t, err)
			}
			if !tt.known {
				v.State.Master, v.StateIndex = nil, 1
			}
			a.known.Update(func(k *snapshot) { k.View, k.Fresh = v, true })
			a.release(t.Context(), lock.CallTimeout, s.ID, cluster.WhyDead, "it is down")
			v, err := a.Lock.Read(t.Context())
			ok(t, err)
			equal(t, "free", v.Free(), true)
			equal(t, "why", v.State.Why, tt.want)
			equal(t, "known to be free", a.known.Load().View.Free(), true)
			equal(t, "the request is answered", v.Answered != nil && v.Answered.Answer == "it is down", tt.answer)
		})
	}
	a := onConsul(t)
	s := session(t, a)
	acquire(t, a, s, "b", published)
	a.release(t.Context(), lock.CallTimeout, "another", cluster.WhyDead, "")
	v, err := a.Lock.Read(t.Context())
	ok(t, err)
	equal(t, "another member's lock", v.Session, s.ID)
}

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

func TestConsulError(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	ok(t, a.consulError(t.Context()))
	failures := 2
	a.Lock.Client = answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if failures--; failures >= 0 {
			http.Error(w, "no leader", http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Consul-Index", "1")
		_, _ = w.Write([]byte("[]"))
	})
	ok(t, a.consulError(t.Context()))
	began := time.Now()
	client, err := api.NewClient(&api.Config{Address: "127.0.0.1:2"})
	ok(t, err)
	a.Lock.Client = client
	if err := a.consulError(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if took := time.Since(began); took >= consulProbeTimeout {
		t.Errorf("a consul that refuses connections was asked for %s", took)
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
	open := func(lost string, know func(*snapshot)) (*lock.Session, error) {
		a.known.Update(know)
		s, err := a.openSession(t.Context(), keeper, lost)
		if s != nil {
			t.Cleanup(func() { _ = s.Destroy(context.Background()) })
		}
		return s, err
	}
	if _, err := open("", func(*snapshot) {}); err == nil {
		t.Error("the lock was not read")
	}
	s, err := open("", func(k *snapshot) { k.Fresh = true })
	ok(t, err)
	equal(t, "adopted", a.known.Load().Adopted, "")

	v := acquire(t, a, s, "me", master("me", "run-me", 1))
	know := func(runID string) func(*snapshot) {
		return func(k *snapshot) { k.View, k.Fresh, k.Health.Status.RunID = v, true, runID }
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
