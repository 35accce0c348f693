package lock

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers"
)

func TestParse(t *testing.T) {
	const key = "resec/.lock"
	lock := func(session, value string) *api.KVPair {
		return &api.KVPair{Key: key, Flags: Flag, Session: session, Value: []byte(value), ModifyIndex: 5}
	}
	stateAt := func(value string) *api.KVPair {
		return &api.KVPair{Key: key + "/state", Value: []byte(value), ModifyIndex: 8}
	}
	published := cluster.State{Service: "redis-master",
		Master: &cluster.Master{Peer: handlers.Peer{ID: "a", Address: "a:1", Term: 3}}}
	const text = `{"service":"redis-master","master":{"id":"a","address":"a:1","term":3}}`
	for _, tt := range []struct {
		name  string
		pairs api.KVPairs
		want  cluster.View
		free  bool
		err   string
	}{
		{"no keys are a free lock without a state", nil, cluster.View{Index: 9}, true, ""},
		{"a lock that a session holds", api.KVPairs{lock("s1", "a"), stateAt(text)},
			cluster.View{Index: 9, LockIndex: 5, Session: "s1", Holder: "a", LastHolder: "a", State: published, StateIndex: 8}, false, ""},
		{"a lock that was released has no holder", api.KVPairs{lock("", "a"), stateAt(text)},
			cluster.View{Index: 9, LockIndex: 5, LastHolder: "a", State: published, StateIndex: 8}, true, ""},
		{"a state outlives a lock key that `consul lock` removed", api.KVPairs{stateAt(text)},
			cluster.View{Index: 9, State: published, StateIndex: 8}, true, ""},
		{"the holder is whatever `consul lock` wrote", api.KVPairs{lock("s1", "Consul Lock")},
			cluster.View{Index: 9, LockIndex: 5, Session: "s1", Holder: "Consul Lock", LastHolder: "Consul Lock"}, false, ""},
		{"other keys with the same prefix are ignored", api.KVPairs{
			{Key: key + "2", Session: "s2", Value: []byte("b")}, {Key: key + "2/state", Value: []byte("{")},
			{Key: key + "/members/a", Value: []byte("{")}},
			cluster.View{Index: 9}, true, ""},
		{"members with a session, and one without", api.KVPairs{
			{Key: key + "/members/node/redis-:6379", Session: "s1", Value: []byte(`{"run_id":"r","address":"10.0.0.1:6379"}`)},
			{Key: key + "/members/b", Value: []byte(`{"run_id":"q"}`)}},
			cluster.View{Index: 9,
				LiveAgents: map[string]cluster.MemberKey{"node/redis-:6379": {Session: "s1", RunID: "r", Address: "10.0.0.1:6379"},
					"b": {RunID: "q"}}}, true, ""},
		{"an operator's request", api.KVPairs{{Key: key + "/failover", Session: "s9", Value: []byte(`{"to":"b","overrule":["a"]}`)}},
			cluster.View{Index: 9, Request: &cluster.Request{To: "b", ForceFollow: []string{"a"}, Session: "s9"}}, true, ""},
		{"a request without a session is ignored", api.KVPairs{{Key: key + "/failover", Value: []byte(`{"to":"b"}`)}},
			cluster.View{Index: 9}, true, ""},
		{"a planned request may leave the target to the master's agent",
			api.KVPairs{{Key: key + "/failover", Session: "s9", ModifyIndex: 4, Value: []byte(`{"planned":true}`)}},
			cluster.View{Index: 9, Request: &cluster.Request{Planned: true, Session: "s9", Index: 4}}, true, ""},
		{"a request with an answer",
			api.KVPairs{{Key: key + "/failover", Session: "s9", Value: []byte(`{"to":"b","planned":true,"answer":"no"}`)}},
			cluster.View{Index: 9, Answered: &cluster.Request{To: "b", Planned: true, Answer: "no", Session: "s9"}}, true, ""},
		{"a pause", api.KVPairs{{Key: key + "/pause",
			Value: []byte(`{"until":"2030-01-01T00:00:00Z","since":"2029-01-01T00:00:00Z","reason":"disks"}`)}},
			cluster.View{Index: 9,
				Pause: &cluster.Pause{Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
					Since: time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC), Reason: "disks"}}, true, ""},
		{"a pause that cannot be read is ignored", api.KVPairs{{Key: key + "/pause", Value: []byte(`soon`)}}, cluster.View{Index: 9},
			true,
			""},
		{"a forced request without a target is ignored", api.KVPairs{{Key: key + "/failover", Session: "s9", Value: []byte(`{}`)}},
			cluster.View{Index: 9}, true, ""},
		{"a key that is no lock is a conflict", api.KVPairs{{Key: key, Value: []byte("mine")}},
			cluster.View{Index: 9, LastHolder: "mine"}, true,
			"the lock key is in use, and not as a lock: resec/.lock"},
		{"a key with another's flags is a conflict, held or not", api.KVPairs{{Key: key, Flags: 42, Session: "s1", Value: []byte("x")}},
			cluster.View{Index: 9, Session: "s1", Holder: "x", LastHolder: "x"}, false, "the lock key is in use, and not as a lock: resec/.lock"},
		{"a state that is cut off", api.KVPairs{lock("s1", "a"), stateAt(`{"service":`)},
			cluster.View{Index: 9, LockIndex: 5, Session: "s1", Holder: "a", LastHolder: "a", StateIndex: 8}, false,
			"read the state at resec/.lock/state: unexpected end of JSON input"},
		{"a state of another shape", api.KVPairs{stateAt(`[]`)}, cluster.View{Index: 9, StateIndex: 8}, true,
			"read the state at resec/.lock/state: json: cannot unmarshal array into Go value of type cluster.stateFields"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(key, 9, tt.pairs)
			text := ""
			if got.Err != nil {
				text = got.Err.Error()
			}
			if d := cmp.Diff(tt.err, text); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(cluster.View{}, "Err")); d != "" {
				t.Error(d)
			}
			if got.Free() != tt.free {
				t.Errorf("free is %t, want %t", got.Free(), tt.free)
			}
		})
	}
	if err := parse(key, 9, api.KVPairs{{Key: key}}).Err; !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// A write checks the index of the state in the view; index 0 requires that there is none.
func TestCAS(t *testing.T) {
	op, err := Lock{Key: "k"}.casOp(cluster.View{StateIndex: 8}, cluster.State{Service: "s"})
	want := &api.KVTxnOp{Verb: api.KVCAS, Key: "k/state", Value: []byte(`{"service":"s"}`), Index: 8}
	if d := cmp.Diff(want, op); d != "" || err != nil {
		t.Error(d, err)
	}
}
