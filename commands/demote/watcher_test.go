package demote

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/observable"
	"resec/handlers"
	"resec/scripts/lab"
)

func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// watching is a Watcher of "me" in term 2. Recorded are "me" and "a".
type watching struct {
	Watcher
	t     *testing.T
	log   *expect.Log
	node  string       // begins the names of the members' nodes
	calls atomic.Int32 // to a Consul of the test's own
}

// start runs a Watcher on the real Consul until the test ends, under a lock that it holds, or has lost.
func start(t *testing.T, held bool, change ...func(*catalog.Naming)) *watching {
	t.Helper()
	w := bare(t)
	for _, f := range change {
		f(&w.Naming)
	}
	w.Lock = consultest.Lock(t)
	s := consultest.Session(t, w.Lock.Client)
	w.Term.Session = s.ID
	w.Known.Update(func(k *known.Snapshot) {
		members := k.View.State.Members
		k.View = consultest.Acquire(t, w.Lock, s, "me", &w.Me)
		k.View.State.Members = members
	})
	if !held {
		expect.OK(t, s.Destroy(t.Context()))
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

// bare is a Watcher of "me" in term 2, without Consul.
func bare(t *testing.T) *watching {
	w := &watching{t: t, log: &expect.Log{}}
	w.Naming = catalog.Naming{Prefix: strings.ToLower(strings.ReplaceAll(t.Name(), "_", "-"))}
	w.node = w.Naming.Prefix
	w.Log = slog.New(slog.NewTextHandler(w.log, nil))
	w.Me, w.Term = *consultest.Master("me", "run-me", 2), cluster.Term{ID: "me", Number: 2, RunID: "run-me"}
	w.Known = observable.New[known.Snapshot]()
	w.Known.Update(func(k *known.Snapshot) {
		k.View.State.Members = map[string]cluster.MemberRecord{"me": {RunID: "run-me"}, "a": {RunID: "run-a"}}
	})
	return w
}

// stale is the entry of "a" as the master of an earlier term.
func (w *watching) stale() (e handlers.Entry) {
	e.Node.Node, e.Service.ID, e.Service.Service = "n-a", "a", w.Naming.Name(catalog.Master)
	e.Service.Meta = catalog.Meta("a", 1, "")
	return e
}

// list registers an entry of the master service with Consul's servers, as a Consul agent does.
func (w *watching) list(id string, term uint64) {
	w.t.Helper()
	w.listAs(id, term, catalog.Master)
}

// listAs is list for any role.
func (w *watching) listAs(id string, term uint64, role catalog.Role) {
	w.t.Helper()
	node := w.node + "-" + id
	r := &api.CatalogRegistration{Node: node, Address: "10.0.0.1",
		Service: &api.AgentService{ID: id, Service: w.Naming.Name(role), Tags: w.Naming.Tags(role), Address: "10.0.0.1",
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
	expect.OK(t, w.log.Count("members=x", 1))
	w.list("a", 2)
	w.shows("a me x", "")
	w.list("a", 1)
	w.shows("me x", "a")
	expect.OK(t, w.log.Count("event=master_elsewhere", 1))
}

// While Consul shows an older time nothing is demoted.
func TestWatcher_ConsulWentBack(t *testing.T) {
	t.Parallel()
	w := start(t, true)
	w.Known.Update(func(k *known.Snapshot) { k.View.WentBack = true })
	w.list("a", 1)
	<-time.After(5 * backRetry)
	w.shows("a", "")
	w.Known.Update(func(k *known.Snapshot) { k.View.WentBack = false })
	w.shows("", "a")
}

// With one service name for both roles, a replica of another cluster is no second master.
func TestWatcher_OneServiceName(t *testing.T) {
	t.Parallel()
	w := start(t, true, func(n *catalog.Naming) {
		*n = catalog.Naming{Service: n.Prefix, MasterTags: []string{"master"}, ReplicaTags: []string{"replica"}}
	})
	w.listAs("x", 1, catalog.Replica)
	w.list("a", 1)
	lab.Eventually(t, expect.Patience, func() error { return w.log.Count("event=stale_master_demoted", 1) })
	expect.OK(t, w.log.Count("event=master_elsewhere", 0))
}

// What Consul denies is logged once, and not tried again before the next answer.
func TestWatcher_Denied(t *testing.T) {
	t.Parallel()
	w := bare(t)
	w.Lock.Client = consultest.Answering(t, func(rw http.ResponseWriter, r *http.Request) {
		w.calls.Add(1)
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, `{"Errors":[{"OpIndex":0,"What":"Permission denied"}]}`)
	})
	ctx, stop := context.WithTimeout(t.Context(), expect.Patience)
	defer stop()
	w.demoteUntilDone(ctx, []handlers.Entry{w.stale(), w.stale()})
	expect.OK(t, ctx.Err())
	expect.OK(t, w.log.Count("event=stale_master_failed", 1))
	expect.Equal(t, "calls", w.calls.Load(), 2)
}

// What fails is tried again until it is done, or the context ends, and logged once.
func TestWatcher_Fails(t *testing.T) {
	t.Parallel()
	w := bare(t)
	ctx, stop := context.WithCancel(t.Context())
	w.Lock.Client = consultest.Answering(t, func(rw http.ResponseWriter, r *http.Request) {
		if w.calls.Add(1) == 3 {
			stop()
		}
		http.Error(rw, "no leader", http.StatusInternalServerError)
	})
	w.demoteUntilDone(ctx, []handlers.Entry{w.stale()})
	expect.OK(t, w.log.Count("event=stale_master_failed", 1))
	expect.Equal(t, "calls", w.calls.Load(), 3)
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
