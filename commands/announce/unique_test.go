package announce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// Another Redis under our id is no predecessor of ours.
func TestIDInUse(t *testing.T) {
	t.Parallel()
	a := bareAnnouncer()
	r, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	a.Creds.Timeout = 5 * time.Second
	runID, err := r.Info("run_id")
	expect.OK(t, err)
	m := consultest.Master("me", runID, 1)
	m.Address = r.Addr
	inUse := func(m *cluster.Master, runID string) bool {
		return a.idInUse(t.Context(), cluster.View{State: cluster.State{Master: m}}, runID) != ""
	}
	expect.Equal(t, "it answers", inUse(m, "run-me"), true)
	expect.Equal(t, "it is ours", inUse(m, runID), false)
	expect.Equal(t, "none is published", inUse(nil, "run-me"), false)
	other := *m
	other.ID = "b"
	expect.Equal(t, "another member", inUse(&other, "run-me"), false)
	old := *m
	old.RunID = "run-old"
	expect.Equal(t, "another instance answers there", inUse(&old, "run-me"), false)
	keyed := func(session string) bool {
		key := cluster.MemberKey{Session: session, RunID: runID, Address: r.Addr}
		return a.idInUse(t.Context(), cluster.View{LiveAgents: map[string]cluster.MemberKey{"me": key}}, "run-me") != ""
	}
	expect.Equal(t, "a live agent has the member key", keyed("s"), true)
	expect.Equal(t, "a dead agent has left the member key", keyed(""), false)
	r.Kill()
	expect.Equal(t, "it is down", inUse(m, "run-me"), false)
	expect.Equal(t, "the redis of the member key is down", keyed("s"), false)
}

// entry is a member's replica entry in the catalogue.
func entry(id, node, service, status string) handlers.Entry {
	var e handlers.Entry
	e.Node.Node, e.Service.ID, e.Service.Meta = node, service, catalog.Meta(id, 0, "")
	e.Checks = append(e.Checks, handlers.Check{Status: status})
	return e
}

func TestDuplicateEntry(t *testing.T) {
	me := bareAnnouncer().Me
	for _, tt := range []struct {
		name string
		e    handlers.Entry
		want bool
	}{
		{"our own", entry("me", "n", "redis:6379", api.HealthPassing), false},
		{"another member", entry("a", "m", "redis:6379", api.HealthPassing), false},
		{"another member on this node", entry("a", "n", "redis:6380", api.HealthPassing), false},
		{"our id on another node", entry("me", "m", "redis:6379", api.HealthPassing), true},
		{"our id at another port", entry("me", "n", "redis:6380", api.HealthPassing), true},
		{"our place under another id", entry("a", "n", "redis:6379", api.HealthPassing), true},
		{"one that is dead", entry("a", "n", "redis:6379", api.HealthCritical), false},
		{"one without an id", entry("", "n", "redis:6379", api.HealthPassing), false},
	} {
		expect.Equal(t, tt.name, duplicateEntry([]handlers.Entry{tt.e}, me) != "", tt.want)
	}
}

// Of two that register at the same moment the one that was registered first stays.
func TestNewerDuplicate(t *testing.T) {
	me := bareAnnouncer().Me
	own, other := entry("me", "n", "redis:6379", api.HealthPassing), entry("me", "m", "redis:6379", api.HealthPassing)
	own.Service.CreateIndex, other.Service.CreateIndex = 7, 9
	both := []handlers.Entry{other, own}
	expect.Equal(t, "our index", ownIndex(both, me), uint64(7))
	expect.Equal(t, "we were first", newerDuplicate(both, me, ownIndex(both, me)), "")
	both[0].Service.CreateIndex = 5
	expect.Equal(t, "the other was first", newerDuplicate(both, me, ownIndex(both, me)) != "", true)
	expect.Equal(t, "we are not registered", newerDuplicate(both[:1], me, ownIndex(both[:1], me)) != "", true)
	taken := []handlers.Entry{entry("a", "n", "redis:6379", api.HealthPassing)}
	expect.Equal(t, "our place is another's", ownIndex(taken, me), uint64(0))
	expect.Equal(t, "our place is another's", newerDuplicate(taken, me, 0) != "", true)
}

func TestPresence_HasMember(t *testing.T) {
	me := bareAnnouncer().Me
	for _, tt := range []struct {
		name string
		p    presence
		want bool
	}{
		{"nothing", presence{}, false},
		{"an entry", presence{entries: []handlers.Entry{entry("me", "n", "redis:6379", api.HealthWarning)}}, true},
		{"a critical entry", presence{entries: []handlers.Entry{entry("me", "n", "redis:6379", api.HealthCritical)}}, false},
		{"another member's entry", presence{entries: []handlers.Entry{entry("a", "n", "redis:6380", api.HealthPassing)}}, false},
		{"a member key", presence{view: cluster.View{LiveAgents: map[string]cluster.MemberKey{"me": {Session: "s"}}}}, true},
		{"a member key without a session", presence{view: cluster.View{LiveAgents: map[string]cluster.MemberKey{"me": {}}}}, false},
		{"the lock", presence{view: cluster.View{Session: "s", Holder: "me"}}, true},
		{"another's lock", presence{view: cluster.View{Session: "s", Holder: "a"}}, false},
	} {
		expect.Equal(t, tt.name, tt.p.hasMember(me), tt.want)
	}
}

// Our Redis is not managed if another process manages it, or if our address leads to another one.
func TestCheckOwnRedis(t *testing.T) {
	t.Parallel()
	a := bareAnnouncer()
	s, r := a.withRedis(t)
	check := func() string {
		t.Helper()
		why, err := a.checkOwnRedis(t.Context(), s, presence{}, &start{})
		expect.OK(t, err)
		return why
	}
	expect.Equal(t, "it is ours", check(), "")
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	a.Me.Address = other.Addr
	expect.Equal(t, "our address leads to another", check() != "", true)
	other.Kill()
	expect.Equal(t, "it leads to none", check(), "")
	a.Me.Address = r.Addr
	second, why, err := a.connect(t.Context(), presence{}, &start{}) // another process of our name
	if err != nil || second != nil || why == "" {
		t.Errorf("got %v, %q, %v", second, why, err)
	}
	known := presence{entries: []handlers.Entry{entry("me", "n", "redis:6379", api.HealthPassing)}}
	for _, tt := range []struct {
		name  string
		shown presence
		since time.Duration // for how long the connection of our name has been there
		opens bool
	}{
		{"it may be about to register", presence{}, 0, false},
		{"consul shows no agent of our id", presence{}, time.Minute, true},
		{"consul shows an agent of our id", known, time.Minute, false},
	} {
		opened, why, err := a.connect(t.Context(), tt.shown, &start{namesakeSince: time.Now().Add(-tt.since)})
		expect.OK(t, err)
		expect.Equal(t, tt.name, opened != nil, tt.opens)
		expect.Equal(t, tt.name, why == "", tt.opens)
		if opened != nil {
			opened.Close()
		}
	}
	r.Kill()
	expect.Equal(t, "it is down", check() != "", true)
}

// Our Redis is opened once no other process of our name works on it.
func TestOpenUnique(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	first, _ := a.withRedis(t)
	ended, end := context.WithCancel(t.Context())
	end()
	if s, err := a.OpenUnique(ended); s != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v, %v", s, err)
	}
	var second *redis.Server
	var done errgroup.Group
	done.Go(func() (err error) {
		second, err = a.OpenUnique(t.Context())
		return err
	})
	lab.Eventually(t, expect.Patience, func() error {
		if out := a.Advertised.Load().Output; !strings.HasPrefix(out, "not started yet: another resec") {
			return fmt.Errorf("it shows %q", out)
		}
		return nil
	})
	first.Close()
	expect.OK(t, done.Wait())
	defer second.Close()
	_, err := second.Status(t.Context())
	expect.OK(t, err)
}

// What an agent left when it gave way does not count in its next work: neither the reason, nor the entry that was shown.
func TestOpenUnique_Forgets(t *testing.T) {
	t.Parallel()
	a := New(onConsul(t))
	a.giveWay("another process was this member")
	a.Registrar.Set(catalog.Entry{Role: catalog.Master, Status: api.HealthPassing, Meta: catalog.Meta("me", 1, "")})
	a.Registrar.Log, a.Registrar.DeregisterAfter = a.Log, time.Minute
	a.Registrar.Updated = func(time.Time, time.Duration) { t.Error("the former entry is published") }
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := a.OpenUnique(ended)
	expect.Equal(t, "opened", errors.Is(err, context.Canceled), true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	g := errgroup.Group{}
	g.Go(func() error { return a.Registrar.Run(ctx) })
	g.Go(func() error { return a.KeepUnique(ctx) })
	expect.OK(t, g.Wait())
}

// The place of a member that has moved is at its new node: what another process has there is not changed.
func TestShowWaiting_Moved(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	a.Registrar.DeregisterAfter, a.Me.ServiceID = time.Minute, a.Registrar.ID
	node, addr, err := catalog.Node(t.Context(), a.Lock.Client)
	expect.OK(t, err)
	a.Me.Node = "former"
	a.Known.Update(func(k *known.Snapshot) { k.Place = cluster.Place{Node: node, Address: addr + ":1"} })
	another := catalog.Registrar{Client: a.Lock.Client, Naming: a.Registrar.Naming, ID: a.Registrar.ID, Interval: time.Second,
		DeregisterAfter: time.Minute}
	shows := func(w *waiting) bool {
		t.Helper()
		a.showWaiting(t.Context(), w, "a reason")
		a.hideWaiting(t.Context(), w)
		return w.shown
	}
	expect.OK(t, another.ShowWaiting(t.Context(), catalog.Entry{Role: catalog.Replica, Status: api.HealthCritical,
		Meta: catalog.Meta("another", 0, "")}))
	expect.Equal(t, "shown over another's entry", shows(newWaiting()), false)
	expect.OK(t, another.HideWaiting(t.Context()))
	expect.Equal(t, "shown at a free place", shows(newWaiting()), true)
	all, err := a.Registrar.Naming.Instances(t.Context(), a.Lock.Client)
	expect.OK(t, err)
	expect.Equal(t, "left", len(all), 0)
}

// A Redis that the live agent of another member manages is left alone, by whatever address it is reached.
func TestManagedReason(t *testing.T) {
	v := cluster.View{LiveAgents: map[string]cluster.MemberKey{"me": {Session: "s", RunID: "run"}, "dead": {RunID: "run"},
		"b": {Session: "b's", RunID: "run-b"}}}
	expect.Equal(t, "ours", managedReason(v, "me", "run"), "")
	expect.Equal(t, "another's", managedReason(v, "me", "run-b") != "", true)
}
