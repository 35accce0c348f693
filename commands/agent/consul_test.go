package agent

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/hooks"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observe"
	"resec/commands/survey"
)

// onConsul is the agent of "me" on the real Consul, with a lock of its own and without watches: a test says what it knows.
func onConsul(t *testing.T) *Agent {
	t.Helper()
	a := bareAgent()
	a.Lock = consultest.Lock(t)
	a.Session.Name = t.Name()
	a.hooks = hooks.New(nil, a.Metrics.HookFailed, a.Log)
	a.announcer = a.newAnnouncer()
	a.observer = &observe.Observer{Lock: a.Lock, Log: a.Log, Update: func(change func(*observe.Snapshot)) {
		a.known.Update(func(k *known.Snapshot) { change(&k.Observation) })
	}}
	a.surveyor = &survey.Surveyor{ID: "me", Lock: a.Lock, Naming: a.Registrar.Naming, Log: a.Log}
	return a
}

// session makes a session that ends with the test.
func session(t *testing.T, a *Agent) *lock.Session {
	t.Helper()
	return consultest.Session(t, a.Lock.Client)
}

// acquire makes a member hold the lock, with that master published; nil: none.
func acquire(t *testing.T, a *Agent, s *lock.Session, id string, m *cluster.Master) cluster.View {
	t.Helper()
	return consultest.Acquire(t, a.Lock, s, id, m)
}

var master, answering = consultest.Master, consultest.Answering

// The published master must still hold the lock before our Redis follows it.
func TestConfirmHolder(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	k := known.Snapshot{}
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
	a.Lock.Client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
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
			a.known.Update(func(k *known.Snapshot) { k.View, k.Fresh = v, true })
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
