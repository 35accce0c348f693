package agent

import (
	"encoding/json"
	"testing"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/handlers"
)

// What a hook is given is what a handler written for `follow` reads.
func TestMasterEntry(t *testing.T) {
	for _, tt := range []struct {
		name, addr, tag string
		naming          catalog.Naming
	}{
		{"the role by the name", "10.0.0.1:6379", "", catalog.Naming{Prefix: "redis"}},
		{"the role by a tag", "10.0.0.1:6379", "m",
			catalog.Naming{Service: "cache", MasterTags: []string{"m"}, ReplicaTags: []string{"r"}}},
		{"an IPv6 address", "[::1]:6379", "", catalog.Naming{Prefix: "redis"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: tt.addr, Term: 4}, Node: "n", ServiceID: "s"}
			data, err := json.Marshal(masterEntry(m, tt.naming))
			expect.OK(t, err)
			entries, err := handlers.ParseEntries(data)
			e, ok := handlers.MasterOf(entries, tt.tag)
			if err != nil || !ok || e.Addr() != tt.addr || e.ID() != "a" || e.Term() != 4 || e.Node.Node != "n" ||
				!tt.naming.Matches(e, catalog.Master) {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}
