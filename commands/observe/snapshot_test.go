package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
)

// view is a view that is held by a session.
func view(index uint64, session string) cluster.View {
	return cluster.View{Index: index, LockIndex: index, Session: session}
}

// Which views are taken, and what becomes of the snapshot.
func TestSnapshot_Views(t *testing.T) {
	members := map[string]cluster.MemberKey{"b": {Session: "s2"}}
	known := cluster.View{Index: 10, Session: "s1", LiveAgents: members, Request: &cluster.Request{To: "b", Index: 9}}
	fresh, stale := Snapshot{View: known, Fresh: true}, Snapshot{View: known}
	read := func(v cluster.View) func(*Snapshot) bool {
		return func(s *Snapshot) bool { return s.takeRead(v) }
	}
	wrote := func(v cluster.View) func(*Snapshot) bool {
		return func(s *Snapshot) bool { return s.takeWritten(v) }
	}
	written := func(index uint64, request *cluster.Request) cluster.View {
		return cluster.View{Index: index, Session: "s9", Request: request}
	}
	kept := func(v cluster.View, request *cluster.Request) cluster.View {
		v.LiveAgents, v.Request = members, request
		return v
	}
	for _, tt := range []struct {
		name string
		from Snapshot
		take func(*Snapshot) bool
		want cluster.View // the zero view: it was not taken
	}{
		{"the first view", Snapshot{}, read(view(1, "s2")), view(1, "s2")},
		{"a newer one", fresh, read(view(11, "s2")), view(11, "s2")},
		{"one of the same index", fresh, read(view(10, "s2")), view(10, "s2")},
		{"not an older one", fresh, read(view(9, "s2")), cluster.View{}},
		{"an older one after an outage", stale, read(view(9, "s2")), view(9, "s2")},
		{"a write of ours, which knows no members", fresh, wrote(written(11, nil)), kept(written(11, nil), nil)},
		{"one that did not end the request keeps the known one", fresh, wrote(written(11, &cluster.Request{To: "c"})),
			kept(written(11, nil), known.Request)},
		{"not one that the watch has shown", fresh, wrote(written(10, nil)), cluster.View{}},
		{"nor an older one", fresh, wrote(written(9, nil)), cluster.View{}},
		{"an older one after an outage of a write", stale, wrote(written(9, nil)), kept(written(9, nil), nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.from
			taken := tt.take(&s)
			if taken != (tt.want.Index != 0) {
				t.Errorf("taken is %t", taken)
			}
			want := Snapshot{View: tt.want, Fresh: true}
			if !taken {
				want = tt.from
			}
			if d := cmp.Diff(want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSnapshot_Paused(t *testing.T) {
	var s Snapshot
	s.take(cluster.View{Pause: &cluster.Pause{Until: time.Now().Add(time.Hour)}})
	if !s.Paused {
		t.Error("a cluster with a pause is not paused")
	}
	s.take(cluster.View{Pause: &cluster.Pause{Until: time.Now().Add(-time.Hour)}})
	if s.Paused {
		t.Error("a pause that is over counts")
	}
}
