package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
)

// entry is a service instance in the catalogue.
func entry(id, addr, status string) (e handlers.Entry) {
	e.Service.ID, e.Service.Address, e.Service.Port, e.Service.Meta = "s-"+addr, addr, 1, map[string]string{"id": id, "term": "4"}
	e.Checks = []handlers.Check{{Status: status, Output: "says " + id}}
	return e
}

func TestMembers(t *testing.T) {
	v := View{State: threeMembers(),
		LiveAgents: map[string]MemberKey{"x": {Session: "s", RunID: "run-x", Address: "x:1"}, "dead": {RunID: "run-d", Address: "d:1"}}}
	listed := func(id, addr, check string) Member {
		return Member{ID: id, Address: addr + ":1", Check: check, Output: "says " + id, Term: 4}
	}
	for _, tt := range []struct {
		name    string
		entries []handlers.Entry
		view    View
		want    []Member
	}{
		{"the listed members", []handlers.Entry{entry("a", "a", "passing"), entry("b", "b", "critical")}, View{},
			[]Member{listed("a", "a", "passing"), listed("b", "b", "critical")}},
		{"a member that is listed twice counts once", []handlers.Entry{entry("a", "a", "passing"), entry("a", "a", "passing")}, View{},
			[]Member{listed("a", "a", "passing")}},
		{"a live entry replaces a critical one", []handlers.Entry{entry("a", "old", "critical"), entry("a", "new", "warning")}, View{},
			[]Member{listed("a", "new", "warning")}},
		{"whichever is listed first", []handlers.Entry{entry("a", "new", "warning"), entry("a", "old", "critical")}, View{},
			[]Member{listed("a", "new", "warning")}},
		{"a live agent, a record and a published master are known without an entry", []handlers.Entry{entry("b", "b", "passing")}, v,
			[]Member{listed("b", "b", "passing"),
				{ID: "x", Address: "x:1", Check: NotInCatalog}, {ID: "a", Address: "a:1", Check: NotInCatalog},
				{ID: "j", Address: "j:1", Check: NotInCatalog}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Members(tt.entries, tt.view)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Of two instances of one id the one counts that has the member key, then the published one. The other one is named if it is live.
func TestMembers_TwoOfOneID(t *testing.T) {
	keyed := func(addr string) map[string]MemberKey {
		return map[string]MemberKey{"a": {Session: "s", Address: addr}}
	}
	for _, tt := range []struct {
		name             string
		entries          []handlers.Entry
		live             map[string]MemberKey
		addr, check, and string
	}{
		{"the published one, although its node's check is critical",
			[]handlers.Entry{entry("a", "other", "passing"), entry("a", "a", "critical")}, nil, "a:1", "critical", "other:1"},
		{"whichever is listed first", []handlers.Entry{entry("a", "a", "critical"), entry("a", "other", "passing")}, nil,
			"a:1", "critical", "other:1"},
		{"one that has moved has the member key", []handlers.Entry{entry("a", "a", "critical"), entry("a", "new", "warning")},
			keyed("new:1"), "new:1", "warning", ""},
		{"both are live", []handlers.Entry{entry("a", "other", "warning"), entry("a", "a", "passing")}, keyed("a:1"),
			"a:1", "passing", "other:1"},
	} {
		got := Members(tt.entries, View{State: threeMembers(without("b", "j")), LiveAgents: tt.live})
		if len(got) != 1 || got[0].Address != tt.addr || got[0].Check != tt.check || got[0].Also != tt.and {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

func TestMembers_Unnamed(t *testing.T) {
	e := entry("", "a", "passing")
	e.Node.Node = "n1"
	e.Checks = append(e.Checks, handlers.Check{Status: "warning", Output: "slow"})
	want := []Member{{ID: "n1/s-a", Address: "a:1", Check: "warning", Output: "slow", Term: 4}}
	if d := cmp.Diff(want, Members([]handlers.Entry{e}, View{})); d != "" {
		t.Error(d)
	}
	if m := want[0]; !m.AgentAlive() || !m.InCatalog() || (Member{Check: "critical"}).AgentAlive() ||
		(Member{Check: NotInCatalog}).InCatalog() {
		t.Error("the check of a member is misread")
	}
	left := Members([]handlers.Entry{entry("b", "old", "critical")}, View{State: threeMembers(without("a", "j"))})
	if left[0].Address != "old:1" || left[0].Check != "critical" {
		t.Errorf("a record replaces a critical entry: %+v", left[0])
	}
}
