package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// member returns the entry of a member on a node of the same name.
func member(service, id string, tags ...string) *api.ServiceEntry {
	s := &api.AgentService{ID: "redis-" + id, Service: service, Tags: tags, Address: "10.0.0.1", Port: 6379, ModifyIndex: 42}
	if id != "" {
		s.Meta = map[string]string{"id": id}
	}
	return &api.ServiceEntry{Node: &api.Node{Node: "node-" + id}, Service: s}
}

func ids(entries []handlers.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.ID())
	}
	return all
}

// Replicas are read before and after the master, so that a member that is promoted meanwhile is in one of the answers.
func TestInstances(t *testing.T) {
	f, client := newFakeConsul(t)
	f.entries["redis-master"] = []*api.ServiceEntry{member("redis-master", "a")}
	f.entries["redis-slave"] = []*api.ServiceEntry{member("redis-slave", "b"), member("redis-slave", "c")}
	all, err := byName.Instances(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b", "c", "a", "b", "c"}, ids(all)); d != "" {
		t.Error(d)
	}
}

func TestInstances_OneServiceIsReadOnce(t *testing.T) {
	f, client := newFakeConsul(t)
	f.entries["cache"] = []*api.ServiceEntry{member("cache", "a", "master"), member("cache", "b", "replica")}
	all, err := byTag.Instances(t.Context(), client)
	if err != nil || len(f.calls) != 1 {
		t.Errorf("%v; calls: %q", err, f.calls)
	}
	if d := cmp.Diff([]string{"a", "b"}, ids(all)); d != "" {
		t.Error(d)
	}
}

func TestInstances_HiddenByTheACL(t *testing.T) {
	const denied = "read services redis-master and redis-slave: " +
		"the token lacks permission 'service:read' on them, or 'node:read' on their nodes"
	none := []*api.ServiceEntry{}
	for _, tt := range []struct {
		name              string
		filtered          bool
		masters, replicas []*api.ServiceEntry
		err               string
	}{
		{"all are hidden", true, none, none, denied},
		{"some are hidden", true, none, []*api.ServiceEntry{member("redis-slave", "b")}, ""},
		{"there is none", false, none, none, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, client := newFakeConsul(t)
			f.filtered = tt.filtered
			f.entries["redis-master"], f.entries["redis-slave"] = tt.masters, tt.replicas
			_, err := byName.Instances(t.Context(), client)
			if got := errText(err); got != tt.err {
				t.Errorf("%q, want %q", got, tt.err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestInstances_Unreachable(t *testing.T) {
	f, client := newFakeConsul(t)
	f.fate = func(n int, _ string) fate { return fate{refused: n == 1} }
	f.entries["redis-slave"] = []*api.ServiceEntry{member("redis-slave", "b")}
	all, err := byName.Instances(t.Context(), client)
	if !errors.Is(err, errRefused) || !strings.HasPrefix(err.Error(), "read service redis-master: ") || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestEntries_NotJSON(t *testing.T) {
	if _, err := Entries(make(chan int)); err == nil || !strings.HasPrefix(err.Error(), "encode service entries: ") {
		t.Error(err)
	}
	if _, err := Entries("text"); err == nil {
		t.Error("a text is no list of entries")
	}
}
