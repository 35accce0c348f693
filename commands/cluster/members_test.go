package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
)

// entry is a service instance.
func entry(id, addr, status string) (e handlers.Entry) {
	e.Service.ID, e.Service.Address, e.Service.Port, e.Service.Meta = "s-"+addr, addr, 1, map[string]string{"id": id, "term": "4"}
	e.Checks = []struct{ Status, Output string }{{status, "says " + id}}
	return e
}

func TestMembers(t *testing.T) {
	v := View{State: cluster(), LiveAgents: map[string]MemberKey{"x": {Session: "s", RunID: "run-x", Address: "x:1"}, "dead": {RunID: "run-d", Address: "d:1"}}}
	listed := func(id, addr, check string) Member { return Member{id, addr + ":1", check, "says " + id, 4, ""} }
	for _, tt := range []struct {
		name    string
		entries []handlers.Entry
		view    View
		want    []Member
	}{
		{"who is listed", []handlers.Entry{entry("a", "a", "passing"), entry("b", "b", "critical")}, View{}, []Member{listed("a", "a", "passing"), listed("b", "b", "critical")}},
		{"a role that changes is listed twice, and counts once", []handlers.Entry{entry("a", "a", "passing"), entry("a", "a", "passing")}, View{}, []Member{listed("a", "a", "passing")}},
		{"who has moved is where it lives", []handlers.Entry{entry("a", "old", "critical"), entry("a", "new", "warning")}, View{}, []Member{listed("a", "new", "warning")}},
		{"whatever is listed first", []handlers.Entry{entry("a", "new", "warning"), entry("a", "old", "critical")}, View{}, []Member{listed("a", "new", "warning")}},
		{"who is present, recorded or published is known without being listed", []handlers.Entry{entry("b", "b", "passing")}, v, []Member{listed("b", "b", "passing"),
			{"x", "x:1", NotInCatalog, "", 0, ""}, {"a", "a:1", NotInCatalog, "", 0, ""}, {"j", "j:1", NotInCatalog, "", 0, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Members(tt.entries, tt.view)); d != "" {
				t.Error(d)
			}
		})
	}
}
