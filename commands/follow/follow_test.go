package follow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/lock"
	"resec/handlers"
)

// service is an answer with one master in it, changed.
func service(change ...func(*api.ServiceEntry)) []*api.ServiceEntry {
	e := &api.ServiceEntry{
		Node: &api.Node{Node: "n1", Address: "10.0.0.1", CreateIndex: 1, ModifyIndex: 1},
		Service: &api.AgentService{ID: "redis-:6379", Service: "redis-master", Tags: []string{"master"}, Port: 6379,
			Meta: map[string]string{"id": "a", "term": "4", "version": "7.0.15"}, CreateIndex: 1, ModifyIndex: 1},
		Checks: api.HealthChecks{{CheckID: "serfHealth", Status: "passing"}, {CheckID: "service:a", Status: "passing", Output: "master, term 4", ModifyIndex: 1}},
	}
	for _, f := range change {
		f(e)
	}
	return []*api.ServiceEntry{e}
}

// What an external handler and what the built-in one are invoked for.
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
		{"a check that is gone", func(e *api.ServiceEntry) { e.Checks = e.Checks[1:] }, true, false},
		{"the term", func(e *api.ServiceEntry) { e.Service.Meta["term"] = "5" }, true, true},
		{"the id", func(e *api.ServiceEntry) { e.Service.Meta["id"] = "b" }, true, true},
		{"the port", func(e *api.ServiceEntry) { e.Service.Port = 6380 }, true, true},
		{"the service's address", func(e *api.ServiceEntry) { e.Service.Address = "10.0.0.2" }, true, true},
		{"the node's address, where it is the service's", func(e *api.ServiceEntry) { e.Node.Address = "10.0.0.2" }, true, true},
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
	return builtinDigest(entries, tag)
}

func TestDigests_OfNobody(t *testing.T) {
	none := []*api.ServiceEntry{}
	if got := fullDigest(none); got != "=[]" {
		t.Errorf("no entries are an event for an external handler: got %q", got)
	}
	if got := builtin(t, none, ""); got != "" {
		t.Errorf("no entries are none for the built-in one: got %q", got)
	}
	if got := builtin(t, service(), "replica"); got != "" {
		t.Errorf("nor is a service without the tag: got %q", got)
	}
}

func TestBuiltinDigest_IsOfTheMasterAlone(t *testing.T) {
	entry := func(id, term string) handlers.Entry {
		var e handlers.Entry
		e.Service.Address, e.Service.Port, e.Service.Meta = "10.0.0.1", 6379, map[string]string{"id": id, "term": term}
		return e
	}
	alone := builtinDigest([]handlers.Entry{entry("a", "2")}, "")
	if d := cmp.Diff(alone, builtinDigest([]handlers.Entry{entry("b", "1"), entry("a", "2")}, "")); d != "" {
		t.Error(d)
	}
}

// learn keeps the event as a handler gets it: what `consul watch` writes, an array also where there is nobody.
func TestLearn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer any
		want   known
	}{
		{"no answer is an empty array", nil, known{index: 7, event: []byte("[]\n"), digest: "=[]"}},
		{"so are no entries", []*api.ServiceEntry{}, known{index: 7, event: []byte("[]\n"), digest: "=[]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &Follower{board: board.New[known]()}
			if err := f.learn(7, tt.answer); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, f.board.Get(), cmp.AllowUnexported(known{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDue(t *testing.T) {
	situation := func(change ...func(*known)) known {
		k := known{index: 7, event: []byte("[]\n"), digest: "d", run: "r", view: lock.View{Index: 8, Session: "s", Holder: "a"}}
		for _, f := range change {
			f(&k)
		}
		return k
	}
	for _, tt := range []struct {
		name    string
		k       known
		handled job
		want    bool
	}{
		{"an event that was not handled is", situation(), job{}, true},
		{"one that was is not", situation(), job{"d", "r"}, false},
		{"another event is", situation(), job{"c", "r"}, true},
		{"the same event for another run of Redis is", situation(), job{"d", "q"}, true},
		{"before the service was read nothing is", situation(func(k *known) { k.index = 0 }), job{}, false},
		{"before the lock was read nothing is", situation(func(k *known) { k.view.Index = 0 }), job{}, false},
		{"an event without a master is not", situation(func(k *known) { k.digest = "" }), job{"c", "r"}, false},
		{"while the lock is ours nothing is", situation(func(k *known) { k.view.Holder = "me" }), job{}, false},
		{"once it is ours no longer, it is", situation(func(k *known) { k.view.Session, k.view.Holder = "", "me" }), job{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := due(tt.k, tt.handled, "me"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
