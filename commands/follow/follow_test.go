package follow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/handlers"
)

// service is an answer with one master in it, changed.
func service(change ...func(*api.ServiceEntry)) []*api.ServiceEntry {
	e := &api.ServiceEntry{
		Node: &api.Node{Node: "n1", Address: "10.0.0.1", CreateIndex: 1, ModifyIndex: 1},
		Service: &api.AgentService{ID: "redis-:6379", Service: "redis-master", Tags: []string{"master"}, Port: 6379,
			Meta: map[string]string{"id": "a", "term": "4", "version": "7.0.15"}, CreateIndex: 1, ModifyIndex: 1},
		Checks: api.HealthChecks{{CheckID: "serfHealth", Status: "passing"},
			{CheckID: "service:a", Status: "passing", Output: "master, term 4", ModifyIndex: 1}},
	}
	for _, f := range change {
		f(e)
	}
	return []*api.ServiceEntry{e}
}

// Which changes invoke an external handler, and which the built-in one.
func TestDigests(t *testing.T) {
	for _, tt := range []struct {
		name          string
		change        func(*api.ServiceEntry)
		full, builtin bool // the digest is another one
	}{
		{"nothing changed", func(*api.ServiceEntry) {}, false, false},
		{"the output of a check", func(e *api.ServiceEntry) { e.Checks[1].Output = "x" }, false, false},
		{"the index of a check", func(e *api.ServiceEntry) { e.Checks[1].ModifyIndex, e.Checks[0].CreateIndex = 9, 9 }, false, false},
		{"the index of the service", func(e *api.ServiceEntry) { e.Service.ModifyIndex, e.Service.CreateIndex = 9, 9 }, false, false},
		{"the index of the node", func(e *api.ServiceEntry) { e.Node.ModifyIndex, e.Node.CreateIndex = 9, 9 }, false, false},
		{"the order of the checks", func(e *api.ServiceEntry) { e.Checks[0], e.Checks[1] = e.Checks[1], e.Checks[0] }, false, false},
		{"the status of a check", func(e *api.ServiceEntry) { e.Checks[1].Status = "critical" }, true, false},
		{"a tag", func(e *api.ServiceEntry) { e.Service.Tags = append(e.Service.Tags, "blue") }, true, false},
		{"the version", func(e *api.ServiceEntry) { e.Service.Meta["version"] = "7.2.0" }, true, false},
		{"a check that was removed", func(e *api.ServiceEntry) { e.Checks = e.Checks[1:] }, true, false},
		{"the term", func(e *api.ServiceEntry) { e.Service.Meta["term"] = "5" }, true, true},
		{"the id", func(e *api.ServiceEntry) { e.Service.Meta["id"] = "b" }, true, true},
		{"the port", func(e *api.ServiceEntry) { e.Service.Port = 6380 }, true, true},
		{"the service's address", func(e *api.ServiceEntry) { e.Service.Address = "10.0.0.2" }, true, true},
		{"the node's address, if the service has none", func(e *api.ServiceEntry) { e.Node.Address = "10.0.0.2" }, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := service(), service(tt.change)
			if got := fullDigest(before) != fullDigest(after); got != tt.full {
				t.Errorf("for an external handler: changed is %t, want %t", got, tt.full)
			}
			if got := builtin(t, before, "master") != builtin(t, after, "master"); got != tt.builtin {
				t.Errorf("for the built-in one: changed is %t, want %t", got, tt.builtin)
			}
		})
	}
}

func builtin(t *testing.T, answer any, tag string) string {
	t.Helper()
	entries, err := catalog.Entries(answer)
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := selectMaster(entries, nil, tag)
	return digest
}

func TestDigests_WithoutAMaster(t *testing.T) {
	none := []*api.ServiceEntry{}
	if got := fullDigest(none); got != "=[]" {
		t.Errorf("no entries are an event for an external handler: got %q", got)
	}
	if got := builtin(t, none, ""); got != "" {
		t.Errorf("no entries are no event for the built-in handler: got %q", got)
	}
	if got := builtin(t, service(), "replica"); got != "" {
		t.Errorf("a service without the tag is no event for the built-in handler: got %q", got)
	}
}

// Which master the built-in handler makes Redis follow.
func TestSelectMaster(t *testing.T) {
	entry := func(id, addr, term string) handlers.Entry {
		var e handlers.Entry
		e.Service.Address, e.Service.Port, e.Service.Meta = addr, 6379, map[string]string{"id": id, "term": term}
		return e
	}
	a, b := entry("a", "10.0.0.1", "2"), entry("b", "10.0.0.2", "1")
	published := &cluster.Master{Peer: handlers.Peer{ID: "b", RunID: "run-b"}}
	const refused = "refused: the service names another master than the published one, b"
	for _, tt := range []struct {
		name      string
		entries   []handlers.Entry
		published *cluster.Master
		want      handlers.Target
		digest    string
		err       string
	}{
		{"no entries", nil, nil, handlers.Target{}, "", ""},
		{"no entries, but a published master", nil, published, handlers.Target{}, "", ""},
		{"without a published master the highest term counts", []handlers.Entry{b, a}, nil, handlers.Target{Addr: "10.0.0.1:6379"},
			`10.0.0.1:6379 "a" 2 `, ""},
		{"the published master, with its run ID", []handlers.Entry{a, b}, published,
			handlers.Target{Addr: "10.0.0.2:6379", RunID: "run-b"},
			`10.0.0.2:6379 "b" 1 run-b`, ""},
		{"an entry of another member is refused", []handlers.Entry{a}, published, handlers.Target{}, refused, refused},
		{"so is an entry without an ID", []handlers.Entry{entry("", "10.0.0.3", "9")}, published, handlers.Target{},
			refused, refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, digest, err := selectMaster(tt.entries, tt.published, "")
			text := ""
			if err != nil {
				text = err.Error()
			}
			if d := cmp.Diff([]any{tt.want, tt.digest, tt.err}, []any{got, digest, text}); d != "" {
				t.Error(d)
			}
		})
	}
}

// The event is what `consul watch` gives a handler: an array even without entries.
func TestOnEvent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer any
		want   snapshot
	}{
		{"no answer is an empty array", nil, snapshot{index: 7, event: []byte("[]\n"), digest: "=[]", entries: []handlers.Entry{}}},
		{"so are no entries", []*api.ServiceEntry{},
			snapshot{index: 7, event: []byte("[]\n"), digest: "=[]", entries: []handlers.Entry{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &Follower{known: observable.New[snapshot]()}
			if err := f.onEvent(7, tt.answer); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, f.known.Load(), cmp.AllowUnexported(snapshot{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestShouldInvoke(t *testing.T) {
	situation := func(change ...func(*snapshot)) snapshot {
		k := snapshot{index: 7, event: []byte("[]\n"), digest: "d", runID: "r",
			Snapshot: observe.Snapshot{Fresh: true, View: cluster.View{Index: 8, Session: "s", Holder: "a"}}}
		for _, f := range change {
			f(&k)
		}
		return k
	}
	for _, tt := range []struct {
		name    string
		k       snapshot
		handled handledKey
		want    bool
	}{
		{"an event that was not handled", situation(), handledKey{}, true},
		{"one that was handled", situation(), handledKey{"d", "r"}, false},
		{"another event", situation(), handledKey{"c", "r"}, true},
		{"the same event for another instance of Redis", situation(), handledKey{"d", "q"}, true},
		{"before the service was read", situation(func(k *snapshot) { k.index = 0 }), handledKey{}, false},
		{"before the lock was read", situation(func(k *snapshot) { k.Fresh = false }), handledKey{}, false},
		{"an event without a master", situation(func(k *snapshot) { k.digest = "" }), handledKey{"c", "r"}, false},
		{"while this member holds the lock", situation(func(k *snapshot) { k.View.Holder = "me" }), handledKey{}, false},
		{"after this member held the lock", situation(func(k *snapshot) { k.View.Session, k.View.Holder = "", "me" }), handledKey{},
			true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.k.shouldInvoke(handledKey{tt.k.digest, tt.k.runID}, tt.handled, "me"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
