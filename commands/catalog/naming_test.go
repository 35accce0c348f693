package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

var (
	byName = Naming{Prefix: "redis", MasterTags: []string{"m"}}
	byTag  = Naming{Prefix: "redis", Service: "cache", MasterTags: []string{"master", "eu"}, ReplicaTags: []string{"replica", "eu"}}
)

func TestNaming(t *testing.T) {
	for _, tt := range []struct {
		name      string
		naming    Naming
		role      Role
		service   string
		tags      []string
		tag       string
		serviceID string
	}{
		{"master by name", byName, Master, "redis-master", []string{"m"}, "", "redis-10.0.0.1:6379"},
		{"replica by name", byName, Replica, "redis-slave", nil, "", "redis-10.0.0.1:6379"},
		{"master by tag", byTag, Master, "cache", []string{"master", "eu"}, "master", "cache-10.0.0.1:6379"},
		{"replica by tag", byTag, Replica, "cache", []string{"replica", "eu"}, "replica", "cache-10.0.0.1:6379"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.naming
			if got := n.Name(tt.role); got != tt.service {
				t.Errorf("service %q, want %q", got, tt.service)
			}
			if d := cmp.Diff(tt.tags, n.Tags(tt.role)); d != "" {
				t.Error(d)
			}
			if got := n.Tag(tt.role); got != tt.tag {
				t.Errorf("tag %q, want %q", got, tt.tag)
			}
			if got := n.ServiceID("10.0.0.1", 6379); got != tt.serviceID {
				t.Errorf("service id %q, want %q", got, tt.serviceID)
			}
		})
	}
	if got := byName.ServiceID("::1", 6379); got != "redis-[::1]:6379" {
		t.Errorf("service id of an IPv6 address: %q", got)
	}
}

func TestNaming_Watch(t *testing.T) {
	if d := cmp.Diff(map[string]any{"type": "service", "service": "redis-master"}, byName.Watch(Master)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]any{"type": "service", "service": "cache", "tag": []any{"master"}}, byTag.Watch(Master)); d != "" {
		t.Error(d)
	}
}

// parse returns Consul's entries as handlers read them.
func parse(t *testing.T, entries ...*api.ServiceEntry) []handlers.Entry {
	t.Helper()
	all, err := Entries(entries)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNaming_Matches(t *testing.T) {
	entry := func(service string, tags ...string) handlers.Entry {
		return parse(t, &api.ServiceEntry{Node: &api.Node{}, Service: &api.AgentService{Service: service, Tags: tags}})[0]
	}
	for _, tt := range []struct {
		name            string
		naming          Naming
		entry           handlers.Entry
		master, replica bool
	}{
		{"master by name", byName, entry("redis-master"), true, false},
		{"replica by name, whatever its tags", byName, entry("redis-slave", "master"), false, true},
		{"another service", byName, entry("cache", "master"), false, false},
		{"master by tag", byTag, entry("cache", "eu", "master"), true, false},
		{"replica by tag", byTag, entry("cache", "replica"), false, true},
		{"neither tag", byTag, entry("cache", "eu"), false, false},
		{"the tag of another service", byTag, entry("redis-master", "master"), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.naming.Matches(tt.entry, Master); got != tt.master {
				t.Errorf("master: %t", got)
			}
			if got := tt.naming.Matches(tt.entry, Replica); got != tt.replica {
				t.Errorf("replica: %t", got)
			}
		})
	}
}

func TestMeta(t *testing.T) {
	if d := cmp.Diff(map[string]string{"id": "a", "term": "4", "version": "7.0.15"}, Meta("a", 4, "7.0.15")); d != "" {
		t.Error(d)
	}
}
