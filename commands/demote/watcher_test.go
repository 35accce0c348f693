package demote

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/observable"
	"resec/scripts/lab"
)

func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// watching is a Watcher of "me" in term 2 that runs until the test ends, under a lock that it holds. Recorded are "me" and "a".
type watching struct {
	Watcher
	t   *testing.T
	log *expect.Log
}

func start(t *testing.T, held bool) *watching {
	t.Helper()
	w := &watching{t: t, log: &expect.Log{}}
	w.Lock = consultest.Lock(t)
	w.Naming = catalog.Naming{Prefix: strings.ToLower(strings.ReplaceAll(t.Name(), "_", "-"))}
	w.Log = slog.New(slog.NewTextHandler(w.log, nil))
	s := consultest.Session(t, w.Lock.Client)
	w.Me, w.Term = *consultest.Master("me", "run-me", 2), cluster.Term{ID: "me", Session: s.ID, Number: 2, RunID: "run-me"}
	var k known.Snapshot
	k.View = consultest.Acquire(t, w.Lock, s, "me", &w.Me)
	k.View.State.Members = map[string]cluster.MemberRecord{"me": {RunID: "run-me"}, "a": {RunID: "run-a"}}
	w.Known = observable.New[known.Snapshot]()
	w.Known.Update(func(is *known.Snapshot) { *is = k })
	if !held {
		expect.OK(t, s.Destroy(t.Context()))
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

// list registers an entry of the master service with Consul's servers, as a Consul agent does.
func (w *watching) list(id string, term uint64) {
	w.t.Helper()
	node := w.Naming.Prefix + "-" + id
	r := &api.CatalogRegistration{Node: node, Address: "10.0.0.1",
		Service: &api.AgentService{ID: id, Service: w.Naming.Name(catalog.Master), Tags: w.Naming.Tags(catalog.Master), Address: "10.0.0.1",
			Port: 6379, Meta: catalog.Meta(id, term, "")},
		Check: &api.AgentCheck{Node: node, CheckID: "service:" + id, ServiceID: id, Status: api.HealthPassing}}
	_, err := w.Lock.Client.Catalog().Register(r, nil)
	expect.OK(w.t, err)
	w.t.Cleanup(func() {
		_, err := w.Lock.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: node}, nil)
		expect.OK(w.t, err)
	})
}

// listed are the ids of the members under a role's name.
func (w *watching) listed(role catalog.Role) (ids []string, err error) {
	entries, _, err := w.Lock.Client.Catalog().Service(w.Naming.Name(role), "", nil)
	for _, e := range entries {
		ids = append(ids, e.ServiceID)
	}
	slices.Sort(ids)
	return ids, err
}

// shows waits until the catalogue lists these masters and replicas.
func (w *watching) shows(masters, replicas string) {
	w.t.Helper()
	lab.Eventually(w.t, expect.Patience, func() error {
		ms, err := w.listed(catalog.Master)
		if err != nil {
			return err
		}
		rs, err := w.listed(catalog.Replica)
		if got := fmt.Sprint(ms, rs); err == nil && got != fmt.Sprintf("[%s] [%s]", masters, replicas) {
			err = fmt.Errorf("the catalogue lists %s", got)
		}
		return err
	})
}

// An entry of an earlier term is demoted each time that it is listed. One of this term, and one of another cluster, stay.
func TestWatcher_StaleEntry(t *testing.T) {
	t.Parallel()
	w := start(t, true)
	w.list("me", 2)
	w.list("a", 1)
	w.shows("me", "a")
	w.list("a", 1) // the Consul agent of its node sends it again
	w.shows("me", "a")
	lab.Eventually(t, expect.Patience, func() error { return w.log.Count("event=stale_master_demoted", 2) })
	w.list("x", 1)
	lab.Eventually(t, expect.Patience, func() error { return w.log.Count("event=master_elsewhere", 1) })
	w.list("a", 2)
	w.list("a", 1)
	w.shows("me x", "a")
	expect.OK(t, w.log.Count("event=master_elsewhere", 1))
}

// A member that has lost the lock demotes nothing.
func TestWatcher_LockLost(t *testing.T) {
	t.Parallel()
	w := start(t, false)
	w.list("a", 1)
	w.list("x", 1)
	lab.Eventually(t, expect.Patience, func() error { return w.log.Count("event=master_elsewhere", 1) })
	w.shows("a x", "")
	expect.OK(t, w.log.Count("event=stale_master_demoted", 0))
}
