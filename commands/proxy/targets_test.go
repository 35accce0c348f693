package proxy

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/topology"
	"resec/handlers/redis"
)

var (
	a = topology.Instance{ID: "a", Addr: "a:1", RunID: "run-a", Term: 3, Up: true}
	b = topology.Instance{ID: "b", Addr: "b:1", RunID: "run-b", Term: 3, Up: true}
	c = topology.Instance{ID: "c", Addr: "c:1", Term: 3, Up: true}
)

func at(offset int64, st redis.Status) redis.Health {
	st.Position.Offset = offset
	return redis.Health{Status: st}
}

func healthy() view {
	return view{topology: topology.Topology{Master: a, Replicas: []topology.Instance{b, c}}, health: map[string]redis.Health{
		"a:1": at(1000, redis.Status{RunID: "run-a", Master: true}),
		"b:1": at(990, redis.Status{RunID: "run-b", LinkUp: true}),
		"c:1": at(500, redis.Status{RunID: "any", LinkUp: true})}}
}

func TestView_Master(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*view)
		want   bool
	}{
		{"a verified one", func(*view) {}, true},
		{"nobody", func(v *view) { v.topology.Master = topology.Instance{} }, false},
		{"one that does not accept writes", func(v *view) { v.topology.Master.Up = false }, false},
		{"one that was not asked yet", func(v *view) { v.health = nil }, false},
		{"one that does not answer", func(v *view) { v.health["a:1"] = redis.Health{Err: errors.New("refused")} }, false},
		{"one that is a replica by now", func(v *view) { v.health["a:1"] = at(1, redis.Status{RunID: "run-a"}) }, false},
		{"another run at its address", func(v *view) { v.health["a:1"] = at(1, redis.Status{RunID: "new", Master: true}) }, false},
		{"one that loads", func(v *view) {
			v.health["a:1"] = at(1, redis.Status{RunID: "run-a", Master: true, Loading: true})
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := healthy()
			tt.change(&v)
			if m, found := v.master(); found != tt.want || found && m.Addr != "a:1" {
				t.Errorf("got %v %t", m, found)
			}
		})
	}
}

func TestView_Replicas(t *testing.T) {
	for _, tt := range []struct {
		name   string
		maxLag int64
		change func(*view)
		want   string
	}{
		{"however far behind", -1, func(*view) {}, "bc"},
		{"with a bound", 10, func(*view) {}, "b"},
		{"with a bound of none", 0, func(*view) {}, ""},
		{"with a bound, and no master to compare with", 1000, func(v *view) { v.topology.Master.Up = false }, ""},
		{"one that Consul does not call a replica that streams", -1, func(v *view) { v.topology.Replicas = []topology.Instance{{Addr: "b:1"}, c} },
			"c"},
		{"one whose link is down", -1, func(v *view) { v.health["b:1"] = at(1, redis.Status{RunID: "run-b"}) }, "c"},
		{"one that became the master", -1, func(v *view) {
			v.health["b:1"] = at(1, redis.Status{RunID: "run-b", Master: true, LinkUp: true})
		}, "c"},
		{"another run", -1, func(v *view) { v.health["b:1"] = at(1, redis.Status{RunID: "x", LinkUp: true}) }, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := healthy()
			tt.change(&v)
			got := ""
			for _, r := range v.replicas(tt.maxLag) {
				got += r.ID
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestView_Stays(t *testing.T) {
	none := healthy()
	none.topology.Master.Up = false
	other := a
	other.RunID = "restarted"
	later := a
	later.Term++
	for _, tt := range []struct {
		name string
		v    view
		i    topology.Instance
		want bool
	}{
		{"of the master", healthy(), a, true},
		{"of the master in an earlier or later term of the same run", healthy(), later, true},
		{"of an earlier run of it", healthy(), other, false},
		{"of another", healthy(), b, false},
		{"of another while there is no master", none, b, true},
	} {
		if got := tt.v.stays(tt.i); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// Whoever reads the log learns why clients wait.
func TestView_NoMasterReason(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*view)
		want   string
	}{
		{"there is one", func(*view) {}, ""},
		{"none is listed", func(v *view) { v.topology.Master = topology.Instance{} }, "consul shows none"},
		{"it is fenced", func(v *view) { v.topology.Master.Up = false }, "the check of a in consul is not passing"},
		{"it was not asked yet", func(v *view) { v.health = nil }, "redis at a:1 has not answered yet"},
		{"it is down", func(v *view) { v.health["a:1"] = redis.Health{Err: syscall.ECONNREFUSED} },
			"redis at a:1: it refuses connections"},
		{"another run", func(v *view) { v.health["a:1"] = at(1, redis.Status{RunID: "new", Master: true}) },
			"redis at a:1 is loading, or is another one than the published"},
		{"a replica by now", func(v *view) { v.health["a:1"] = at(1, redis.Status{RunID: "run-a"}) },
			"redis at a:1 says that it is a replica"},
	} {
		v := healthy()
		tt.change(&v)
		if got := v.noMasterReason(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
