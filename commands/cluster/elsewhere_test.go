package cluster

import (
	"slices"
	"testing"

	"resec/handlers"
)

func TestMastersElsewhere(t *testing.T) {
	entry := func(id, status string) (e handlers.Entry) {
		e.Service.ID, e.Service.Meta = "redis", map[string]string{"id": id}
		e.Checks = []handlers.Check{{CheckID: "service:redis", ServiceID: "redis", Status: status}}
		return e
	}
	v := View{LiveAgents: map[string]MemberKey{"me": {Session: "s"}, "a": {Session: "a's"}, "gone": {}},
		State: State{Members: map[string]MemberRecord{"recorded": {}}, FormerMembers: []string{"left"}}}
	for _, tt := range []struct {
		name string
		all  []handlers.Entry
		want []string
	}{
		{"ours", []handlers.Entry{entry("me", handlers.CheckPassing)}, nil},
		{"under this lock", []handlers.Entry{entry("a", handlers.CheckPassing)}, nil},
		{"what is left of members", []handlers.Entry{entry("gone", "passing"), entry("recorded", "passing"), entry("left", "passing")}, nil},
		{"registered by hand", []handlers.Entry{entry("", handlers.CheckPassing)}, nil},
		{"of a dead agent", []handlers.Entry{entry("z", handlers.CheckCritical)}, nil},
		{"not under this lock", []handlers.Entry{entry("z", handlers.CheckPassing), entry("y", handlers.CheckWarning)}, []string{"y", "z"}},
	} {
		if got := MastersElsewhere(tt.all, v, "me"); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
