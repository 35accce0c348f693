package sentinel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/topology"
)

func TestEvents(t *testing.T) {
	a := topology.Instance{Addr: "10.0.0.1:1", RunID: "a", Term: 1, Up: true}
	b := topology.Instance{Addr: "10.0.0.2:2", RunID: "b", Term: 1, Up: true}
	c := topology.Instance{Addr: "[::1]:3", RunID: "c", Term: 1, Up: true}
	with := func(i topology.Instance, change func(*topology.Instance)) topology.Instance { change(&i); return i }
	down := func(i topology.Instance) topology.Instance {
		return with(i, func(i *topology.Instance) { i.Up, i.Gone = false, true })
	}
	in := func(term uint64, i topology.Instance) topology.Instance {
		return with(i, func(i *topology.Instance) { i.Term = term })
	}
	cluster := func(master topology.Instance, replicas ...topology.Instance) Topology {
		return Topology{Name: "n", Master: master, Replicas: replicas}
	}
	peered := func(t Topology, p ...topology.Peer) Topology { t.Endpoints = p; return t }
	for _, tt := range []struct {
		name          string
		before, after Topology
		want          string // channels and messages, one a line
	}{
		{"nothing is known", Topology{}, cluster(topology.Instance{}, b), ""},
		{"no change", cluster(a, b), cluster(a, b), ""},
		{"the first master", Topology{}, peered(cluster(a, b), topology.Peer{ID: "p", Addr: "10.0.0.9:9"}), `
			+monitor master n 10.0.0.1 1 quorum 1
			+slave slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+slave-reconf-done slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+replica-reconf-done slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+sentinel sentinel p 10.0.0.9 9 @ n 10.0.0.1 1`},
		{"the master goes", cluster(a, b), cluster(down(a), b), `
			+sdown master n 10.0.0.1 1
			+odown master n 10.0.0.1 1 #quorum 1/1
			+elected-leader master n 10.0.0.1 1`},
		{"it is back", cluster(down(a), b), cluster(with(a, func(i *topology.Instance) { i.RunID = "a2" }), b), `
			+reboot master n 10.0.0.1 1
			-sdown master n 10.0.0.1 1
			-odown master n 10.0.0.1 1`},
		{"a failover", cluster(down(a), b, c), cluster(in(2, b), down(in(1, a)), c), `
			+switch-master n 10.0.0.1 1 10.0.0.2 2
			+slave slave 10.0.0.1:1 10.0.0.1 1 @ n 10.0.0.2 2
			-sdown master n 10.0.0.2 2
			-odown master n 10.0.0.2 2
			+sdown slave 10.0.0.1:1 10.0.0.1 1 @ n 10.0.0.2 2`},
		{"its replica follows", cluster(in(2, b), down(a), c), cluster(in(2, b), down(a), in(2, c)), `
			+slave-reconf-done slave [::1]:3 ::1 3 @ n 10.0.0.2 2
			+replica-reconf-done slave [::1]:3 ::1 3 @ n 10.0.0.2 2`},
		{"a planned move", cluster(a, b), cluster(in(2, b), in(2, a)), `
			+switch-master n 10.0.0.1 1 10.0.0.2 2
			+slave slave 10.0.0.1:1 10.0.0.1 1 @ n 10.0.0.2 2
			+slave-reconf-done slave 10.0.0.1:1 10.0.0.1 1 @ n 10.0.0.2 2
			+replica-reconf-done slave 10.0.0.1:1 10.0.0.1 1 @ n 10.0.0.2 2`},
		{"a replica goes", cluster(a, b), cluster(a, down(b)), `
			+sdown slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1`},
		{"a replica is back, restarted", cluster(a, down(b)), cluster(a, with(b, func(i *topology.Instance) { i.RunID = "b2" })), `
			+reboot slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			-sdown slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+slave-reconf-done slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+replica-reconf-done slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1`},
		{"a new replica that does not stream yet", cluster(a), cluster(a, with(b, func(i *topology.Instance) { i.Up = false })), `
			+slave slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1
			+sdown slave 10.0.0.2:2 10.0.0.2 2 @ n 10.0.0.1 1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			for _, e := range events(tt.before, tt.after) {
				fmt.Fprintf(&got, "\n%s %s", e.channel, e.message)
			}
			if d := cmp.Diff(strings.ReplaceAll(tt.want, "\t", ""), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}
