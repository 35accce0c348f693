package handlers

import (
	"strings"
	"testing"
)

func TestHiddenBy(t *testing.T) {
	ours := Check{CheckID: "service:redis-1", Name: "resec", ServiceID: "redis-1", Status: "critical", Output: "TTL expired"}
	node := func(id, status, output string) Check {
		return Check{CheckID: id, Name: "name of " + id, Status: status, Output: output}
	}
	theirs := Check{CheckID: "load", Name: "load", ServiceID: "redis-1", Status: "warning"}
	for _, tt := range []struct {
		name   string
		checks []Check
		want   string
		serf   bool
	}{
		{"no checks", nil, "", false},
		{"our own check does not count", []Check{ours, node("serfHealth", "passing", "alive")}, "", false},
		{"a check of another service on the node does not count", []Check{{CheckID: "x", ServiceID: "web", Status: "critical"}}, "", false},
		{"maintenance of the node", []Check{ours, node("_node_maintenance", "critical", "new\ndisks ")},
			"the node's check _node_maintenance (name of _node_maintenance) is critical: new disks", false},
		{"consul has the reason of a maintenance in the notes",
			[]Check{ours, {CheckID: "_node_maintenance", Name: "Node Maintenance Mode", Status: "critical", Notes: "new disks"}},
			"the node's check _node_maintenance (Node Maintenance Mode) is critical: new disks", false},
		{"somebody else's check of the service", []Check{theirs}, "the service's check load (load) is warning", false},
		{"the worst one is named", []Check{theirs, node("disk", "critical", "")}, "the node's check disk (name of disk) is critical",
			false},
		{"consul's servers do not reach the node", []Check{ours, node("serfHealth", "critical", "Agent not live or unreachable")},
			"the node's check serfHealth (name of serfHealth) is critical: Agent not live or unreachable", true},
		{"and something else is wrong", []Check{theirs, node("serfHealth", "critical", "")},
			"the node's check serfHealth (name of serfHealth) is critical", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text, serf := HiddenBy(tt.checks, "redis-1"); text != tt.want || serf != tt.serf {
				t.Errorf("got %q, %t; want %q, %t", text, serf, tt.want, tt.serf)
			}
		})
	}
	if text, _ := HiddenBy([]Check{node("x", "critical", strings.Repeat("ä", 300))}, "redis-1"); len(text) > 300 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func TestEntry_AgentStatus(t *testing.T) {
	ours := func(status string) Check { return Check{CheckID: "service:s", ServiceID: "s", Status: status} }
	other := Check{CheckID: "disk", Status: "critical"}
	for _, tt := range []struct {
		name           string
		checks         []Check
		status, hidden string
	}{
		{"its own check", []Check{ours("warning")}, "warning", ""},
		{"what others check says nothing of the agent", []Check{ours("passing"), other}, "passing", "the node's check disk () is critical"},
		{"nor does it when the agent is dead", []Check{ours("critical"), other}, "critical", "the node's check disk () is critical"},
		{"a node that is gone takes its agent along", []Check{ours("passing"), {CheckID: SerfCheck, Status: "critical"}}, "critical",
			"the node's check serfHealth () is critical"},
		{"a service that no agent of ours registered", []Check{other}, "critical", ""},
	} {
		e := Entry{Checks: tt.checks}
		e.Service.ID = "s"
		if e.AgentStatus() != tt.status || e.HiddenBy() != tt.hidden {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, e.AgentStatus(), e.HiddenBy(), tt.status, tt.hidden)
		}
	}
}
