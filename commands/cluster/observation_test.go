package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
)

// lockView is a view of a lock that a session holds.
func lockView(index uint64, session string) View {
	return View{Index: index, LockIndex: index, Session: session}
}

// Which views are taken, and what becomes of the snapshot.
func TestObservation_Views(t *testing.T) {
	members := map[string]MemberKey{"b": {Session: "s2"}}
	known := View{Index: 10, Session: "s1", LiveAgents: members, Request: &Request{To: "b", Index: 9}}
	fresh, stale := Observation{View: known, Fresh: true}, Observation{View: known}
	read := func(v View) func(*Observation) bool {
		return func(s *Observation) bool { return s.TakeRead(v, time.Now()) }
	}
	wrote := func(v View) func(*Observation) bool {
		return func(s *Observation) bool { return s.TakeWritten(v, time.Now()) }
	}
	written := func(index uint64, request *Request) View {
		return View{Index: index, Session: "s9", Request: request}
	}
	kept := func(v View, request *Request) View {
		v.LiveAgents, v.Request = members, request
		return v
	}
	for _, tt := range []struct {
		name string
		from Observation
		take func(*Observation) bool
		want View // the zero view: it was not taken
	}{
		{"the first view", Observation{}, read(lockView(1, "s2")), lockView(1, "s2")},
		{"a newer one", fresh, read(lockView(11, "s2")), lockView(11, "s2")},
		{"one of the same index", fresh, read(lockView(10, "s2")), lockView(10, "s2")},
		{"not an older one", fresh, read(lockView(9, "s2")), View{}},
		{"an older one after an outage", stale, read(lockView(9, "s2")), lockView(9, "s2")},
		{"a write of ours, which knows no members", fresh, wrote(written(11, nil)), kept(written(11, nil), nil)},
		{"one that did not end the request keeps the known one", fresh, wrote(written(11, &Request{To: "c"})),
			kept(written(11, nil), known.Request)},
		{"not one that the watch has shown", fresh, wrote(written(10, nil)), View{}},
		{"nor an older one", fresh, wrote(written(9, nil)), View{}},
		{"an older one after an outage of a write", stale, wrote(written(9, nil)), kept(written(9, nil), nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.from
			taken := tt.take(&s)
			if taken != (tt.want.Index != 0) {
				t.Errorf("taken is %t", taken)
			}
			want := Observation{View: tt.want, Fresh: true}
			if !taken {
				want = tt.from
			}
			if d := cmp.Diff(want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestObservation_Paused(t *testing.T) {
	var s Observation
	s.Take(View{Pause: &Pause{Until: time.Now().Add(time.Hour)}}, time.Now())
	if !s.Paused {
		t.Error("a cluster with a pause is not paused")
	}
	s.Take(View{Pause: &Pause{Until: time.Now().Add(-time.Hour)}}, time.Now())
	if s.Paused {
		t.Error("a pause that is over counts")
	}
}

// The first status of a run stays for as long as the run lasts.
func TestObservation_TakeHealth(t *testing.T) {
	var s Observation
	take := func(run, master string, want string) {
		t.Helper()
		s.TakeHealth(redis.Health{Status: redis.Status{RunID: run, MasterAddr: master}})
		if !s.Probed || s.Health.Status.MasterAddr != master || s.First.RunID != run || s.First.MasterAddr != want {
			t.Errorf("got %+v", s)
		}
	}
	take("", "", "")
	take("r", redis.Sink, redis.Sink)
	take("r", "10.0.0.1:6379", redis.Sink)
	take("q", "10.0.0.1:6379", "10.0.0.1:6379")
}
