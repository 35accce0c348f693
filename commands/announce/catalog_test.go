package announce

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/scripts/lab"
)

// A master's entry is registered only while no other member is the master.
func TestConfirmMaster(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	entry := catalog.Entry{Role: catalog.Master}
	expect.OK(t, a.confirmMaster(t.Context(), entry)) // no lock, no state
	ours, theirs := consultest.Session(t, a.Lock.Client), consultest.Session(t, a.Lock.Client)
	v := consultest.Acquire(t, a.Lock, ours, "me", consultest.Master("me", "run-me", 1))
	expect.OK(t, a.confirmMaster(t.Context(), entry))
	expect.OK(t, a.Lock.Release(t.Context(), ours.ID, v, ""))
	expect.OK(t, a.confirmMaster(t.Context(), entry))
	v = consultest.Acquire(t, a.Lock, theirs, "b", consultest.Master("me", "run-me", 1))
	if err := a.confirmMaster(t.Context(), entry); !errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("another member holds the lock: %v", err)
	}
	expect.OK(t, a.confirmMaster(t.Context(), catalog.Entry{Role: catalog.Replica}))
	expect.OK(t, a.Lock.Release(t.Context(), theirs.ID, v, ""))
	consultest.Acquire(t, a.Lock, ours, "me", consultest.Master("b", "run-b", 1))
	if err := a.confirmMaster(t.Context(), entry); !errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("another member is published: %v", err)
	}
	a.Lock.Client = consultest.Answering(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no leader", http.StatusInternalServerError)
	})
	expect.OK(t, a.confirmMaster(t.Context(), entry)) // it tells no other agent
	a.Lock.Client = consultest.Answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := a.confirmMaster(t.Context(), entry); err == nil || errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("consul does not answer: %v", err)
	}
}

// The service is registered with what is advertised, and deregistered at the end.
func TestKeepRegistered(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	r := a.Registrar
	r.Client, r.ID, r.Host, r.Port, r.DeregisterAfter, r.Log = a.Lock.Client, t.Name(), "127.0.0.1", 2, time.Hour, a.Log
	a.Session.CheckDeadline = &lock.RenewalDeadline{}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { a.KeepRegistered(ctx) })
	a.Advertise(known.Snapshot{Snapshot: clustertest.Situation()}, 0)
	lab.Eventually(t, expect.Patience, func() error {
		if !a.Known.Load().Registered {
			return errors.New("it is not registered")
		}
		return nil
	})
	expect.Equal(t, "the check lasts", lock.Lease{a.Session.CheckDeadline}.Left(time.Now()) > 0, true)
	s, _, err := a.Lock.Client.Agent().Service(r.ID, nil)
	expect.OK(t, err)
	expect.Equal(t, "service", s.Service, r.Naming.Name(catalog.Replica))
	stop()
	done.Wait()
	if s, _, err := a.Lock.Client.Agent().Service(r.ID, nil); err == nil {
		t.Errorf("the service is left: %+v", s)
	}
}

// What is shown changes with what the catalogue shows, and is not known before both Redis and Consul have answered.
func TestAdvertise(t *testing.T) {
	a := bareAnnouncer()
	know := func(change ...func(*cluster.Snapshot)) known.Snapshot {
		return known.Snapshot{Snapshot: clustertest.Situation(change...)}
	}
	a.Advertise(know(func(k *cluster.Snapshot) { k.Fresh = false }), 0)
	a.Advertise(know(func(k *cluster.Snapshot) { k.Probed = false }), 0)
	expect.Equal(t, "nothing is known", a.Advertised.Load().Role, "")
	a.Advertise(know(), 0)
	expect.Equal(t, "a replica", a.Advertised.Load().Role, catalog.Replica)
	_, changed := a.Advertised.Watch()
	a.Advertise(know(func(k *cluster.Snapshot) { k.Health.Status.Version = "7.2.0" }), 0)
	select {
	case <-changed:
		t.Error("neither role nor check has changed")
	default:
	}
	a.Advertise(known.Snapshot{Snapshot: clustertest.Leading()}, 5)
	expect.Equal(t, "the master", a.Advertised.Load().Role, catalog.Master)
}
