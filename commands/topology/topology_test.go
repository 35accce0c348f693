package topology

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers"
)

var (
	naming = catalog.Naming{Prefix: "redis"}
	begin  = time.Unix(1e9, 0)
	later  = begin.Add(7 * time.Second)
)

// entry is "master a 1 passing": role, host, term and status.
func entry(t *testing.T, words string) handlers.Entry {
	t.Helper()
	var role, host, status string
	var term int
	if _, err := fmt.Sscan(words, &role, &host, &term, &status); err != nil {
		t.Fatal(err)
	}
	var e handlers.Entry
	e.Node.Node, e.Service.ID = "node-"+host, "redis-"+host
	e.Service.Service, e.Service.Address, e.Service.Port = naming.Name(catalog.Role(role)), host, 6379
	e.Service.Meta = map[string]string{"id": host, "term": strconv.Itoa(term), "version": "7.0.15"}
	e.Checks = []handlers.Check{{Status: status}}
	if role == string(catalog.Sentinel) {
		e.Service.Meta = map[string]string{"id": ID(e.Node.Node, e.Service.ID), "name": "n"}
	}
	return e
}

// shown is what Consul shows: the published master "a 1", or "" for a state that cannot be read, and entries.
func shown(t *testing.T, published string, entries ...string) seen {
	t.Helper()
	s := seen{reachable: true}
	for _, words := range entries {
		e := entry(t, words)
		if e.Service.Service == naming.Name(catalog.Sentinel) {
			s.endpoints = append(s.endpoints, e)
		} else {
			s.instances = append(s.instances, e)
		}
	}
	if published != "" {
		id, term, _ := strings.Cut(published, " ")
		n, err := strconv.ParseUint(term, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s.view = cluster.View{Index: 1, State: cluster.State{Master: &cluster.Master{
			Peer: handlers.Peer{ID: id, RunID: "run-" + id, Term: n}}}}
	}
	return s
}

func TestTopology_Next(t *testing.T) {
	a := Instance{ID: "a", Addr: "a:6379", RunID: "run-a", Version: "7.0.15", Term: 1, Up: true, Since: begin}
	gone := func(i Instance) Instance { i.Up, i.Gone, i.Since = false, true, later; return i }
	for _, tt := range []struct {
		name   string
		before Instance
		seen   seen
		want   Instance
	}{
		{"the first master", Instance{}, shown(t, "a 1", "master a 1 passing"),
			Instance{ID: "a", Addr: "a:6379", RunID: "run-a", Version: "7.0.15", Term: 1, Up: true, Since: later}},
		{"a first master that does not accept writes yet", Instance{}, shown(t, "a 1", "master a 1 warning"), Instance{}},
		{"no master", Instance{}, shown(t, "a 1", "slave a 1 passing"), Instance{}},
		{"a master that is down, listed as a replica", a, shown(t, "a 1", "slave a 1 critical"), gone(a)},
		{"an old incarnation's entry with a higher term", a, shown(t, "a 1", "master x 50 critical", "master a 1 passing"), a},
		{"no change", a, shown(t, "a 1", "master a 1 passing"), a},
		{"a critical check", a, shown(t, "a 1", "master a 1 critical"), gone(a)},
		{"a fenced master", a, shown(t, "a 1", "master a 1 warning"),
			Instance{ID: "a", Addr: "a:6379", RunID: "run-a", Version: "7.0.15", Term: 1, Since: later}},
		{"an entry that is missing", a, shown(t, "a 1"), a},
		{"an old master, before its successor", a, shown(t, "b 2", "slave a 1 warning"),
			Instance{ID: "a", Addr: "a:6379", RunID: "run-a", Version: "7.0.15", Term: 1, Since: later}},
		{"a successor that does not accept writes yet", a, shown(t, "b 2", "master b 2 warning"), a},
		{"a successor whose state is not seen yet", a, shown(t, "a 1", "master b 2 passing"), a},
		{"a successor", a, shown(t, "b 2", "master b 2 passing", "master a 1 passing"),
			Instance{ID: "b", Addr: "b:6379", RunID: "run-b", Version: "7.0.15", Term: 2, Up: true, Since: later}},
		{"an old master's entry that still passes", Instance{Addr: "b:6379", Term: 2},
			shown(t, "b 2", "master a 1 passing"), Instance{Addr: "b:6379", Term: 2}},
		{"the same member in a new term", a, shown(t, "a 2", "master a 2 passing"),
			Instance{ID: "a", Addr: "a:6379", RunID: "run-a", Version: "7.0.15", Term: 2, Up: true, Since: begin}},
		{"a state that was founded anew", Instance{ID: "a", Addr: "a:6379", Term: 50},
			shown(t, "b 1", "master b 1 passing"),
			Instance{ID: "b", Addr: "b:6379", RunID: "run-b", Version: "7.0.15", Term: 1, Up: true, Since: later}},
		{"a newer term, if the state cannot be read", a, shown(t, "", "master b 2 passing"),
			Instance{ID: "b", Addr: "b:6379", Version: "7.0.15", Term: 2, Up: true, Since: later}},
		{"an older term, if the state cannot be read", Instance{Addr: "b:6379", Term: 2}, shown(t, "", "master a 1 passing"),
			Instance{Addr: "b:6379", Term: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Topology{Name: "n", Master: tt.before}.next(tt.seen, naming, later)
			if d := cmp.Diff(tt.want, got.Master); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTopology_NextReplicasAndPeers(t *testing.T) {
	s := shown(t, "a 1", "slave c 1 passing", "slave b 1 critical", "slave a 1 warning", "slave c 1 passing",
		"sentinel y 0 passing", "sentinel x 0 passing", "sentinel z 0 critical", "master a 1 passing")
	noPort := entry(t, "slave d 1 passing")
	noPort.Service.Port = 0
	s.instances = append(s.instances, noPort)
	s.view.State.Members = map[string]cluster.MemberRecord{"b": {RunID: "run-b"}}
	for i, meta := range []map[string]string{nil, {"id": s.endpoints[0].Service.Meta["id"], "name": "other"}} { // no endpoints of ours
		foreign := entry(t, fmt.Sprintf("sentinel f%d 0 passing", i))
		foreign.Service.Meta = meta
		s.endpoints = append(s.endpoints, foreign)
	}
	before := Topology{Name: "n", Replicas: []Instance{{Addr: "c:6379", Up: true, Since: begin}}}
	got := before.next(s, naming, later)
	want := []Instance{
		{ID: "b", Addr: "b:6379", RunID: "run-b", Version: "7.0.15", Term: 1, Gone: true, Since: later},
		{ID: "c", Addr: "c:6379", Version: "7.0.15", Term: 1, Up: true, Since: begin}}
	if d := cmp.Diff(want, got.Replicas); d != "" {
		t.Error(d)
	}
	x, y := Peer{ID("node-x", "redis-x"), "x:6379"}, Peer{ID("node-y", "redis-y"), "y:6379"}
	if d := cmp.Diff([]Peer{x, y}, got.Endpoints); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Peer{y}, got.Others(x.ID)); d != "" {
		t.Error(d)
	}
}
