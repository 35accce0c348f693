package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

func readState(t *testing.T, data []byte) (s State) {
	t.Helper()
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// tree is the JSON of a value, however it is ordered.
func tree(t *testing.T, v any) (out map[string]any) {
	t.Helper()
	data, isText := v.([]byte)
	if !isText {
		var err error
		if data, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// testdata/state-v1.json was written by the first program that wrote version 1. It is read, written again byte by byte, and taken
// over with the same keys.
func TestState_GoldenV1(t *testing.T) {
	golden, err := os.ReadFile("testdata/state-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	s := readState(t, golden)
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, golden) {
		t.Errorf("it is written again as\n%s\nand was\n%s", again, golden)
	}
	if m := s.Master; m.ID != "node-2/redis-:6379" || m.Term != 2 || m.Guard != 1 || m.MaxLag != 5 ||
		!s.ForcedToFollow("node-3/redis-:6379") {
		t.Errorf("its master is %+v", s.Master)
	}
	if s.Why != WhyLeaving || len(s.Histories) != 2 || len(s.HistoryAliases) != 1 || !s.Members["node-4/redis-:6379"].CatchingUp {
		t.Errorf("it is read as %+v", s)
	}
	next := Master{Peer: handlers.Peer{ID: "node-1/redis-:6379", RunID: s.Members["node-1/redis-:6379"].RunID,
		Address: "10.0.0.1:6379"},
		Node: "node-1", ServiceID: "redis-:6379", Guard: 1, MaxLag: 5, ForceFollow: []string{"node-4/redis-:6379"}}
	p := redis.Position{ReplID: "3333333333333333333333333333333333333333", ReplID2: s.Histories[1]}
	taken := s.AliasHistory(p).WithMaster(next, p).WithMasterRecorded()
	taken.Why = WhyDead
	was, is := tree(t, golden), tree(t, taken)
	if d := cmp.Diff(keysOf(was), keysOf(is)); d != "" {
		t.Error(d)
	}
	for _, object := range []string{"master", "record"} {
		if d := cmp.Diff(keysOf(was[object].(map[string]any)), keysOf(is[object].(map[string]any))); d != "" {
			t.Errorf("%s: %s", object, d)
		}
	}
	if is["version"] != 1.0 || is["master"].(map[string]any)["term"] != 3.0 {
		t.Errorf("it is taken over as %v", is)
	}
}

func keysOf(object map[string]any) map[string]bool {
	out := map[string]bool{}
	for key := range object {
		out[key] = true
	}
	return out
}

const futureState = `{"service":"s","future":{"a":[1,2]},` +
	`"master":{"id":"a","run_id":"run-a","address":"a:1","term":4,"guard":1,"max_lag":5,"tls":12345678901234567890},` +
	`"chain":["l"],"record":{"a":{"run_id":"run-a","address":"a:1","level":4,"zone":"x"},` +
	`"b":{"run_id":"run-b","address":"b:1","level":4,"zone":"y","joining":true}},` +
	`"note":null,"version":1}`

// What a program of the same version adds is kept, at each level.
func TestState_KeepsUnknownFields(t *testing.T) {
	s := readState(t, []byte(futureState))
	if d := cmp.Diff(tree(t, []byte(futureState)), tree(t, s)); d != "" {
		t.Error(d)
	}
	if s.UnknownFields != `{"future":{"a":[1,2]},"note":null}` || s.Master.UnknownFields != `{"tls":12345678901234567890}` {
		t.Errorf("unknown are %s and %s", s.UnknownFields, s.Master.UnknownFields)
	}
	st := redis.Status{RunID: "new-b", MasterAddr: "a:1", LinkUp: true, Position: redis.Position{ReplID: "l"}}
	rewritten := s.WithGuard(MinReplicas{Replicas: 0, MaxLag: 9}).UpdateMembers([]MemberObservation{
		{ID: "b", MemberKey: MemberKey{Session: "s", RunID: "new-b", Address: "b:2"}, Status: &st}}, redis.Position{ReplID: "l"})
	if got := rewritten.Master.UnknownFields; got != s.Master.UnknownFields {
		t.Errorf("with another guard the master has %s", got)
	}
	if got := rewritten.Members["b"]; got.UnknownFields != `{"zone":"y"}` || got.RunID != "new-b" {
		t.Errorf("the restarted member is %+v", got)
	}
	same := s.WithMaster(Master{Peer: handlers.Peer{ID: "a", RunID: "new-a", Address: "a:1"}},
		redis.Position{ReplID: "l"}).WithMasterRecorded()
	if got := same.Master.UnknownFields; got != s.Master.UnknownFields || same.Members["a"].UnknownFields != `{"zone":"x"}` {
		t.Errorf("the same master in another term has %s, and is recorded with %s", got, same.Members["a"].UnknownFields)
	}
	other := s.WithMaster(Master{Peer: handlers.Peer{ID: "b", RunID: "run-b", Address: "b:1"}},
		redis.Position{ReplID: "l"}).WithMasterRecorded()
	if got := other.Master.UnknownFields; got != "" || other.UnknownFields != s.UnknownFields ||
		other.Members["b"].UnknownFields != `{"zone":"y"}` {
		t.Errorf("another master has %q, and the state %s", got, other.UnknownFields)
	}
	if got := tree(t, other); got["future"] == nil || got["record"].(map[string]any)["a"].(map[string]any)["zone"] != "x" {
		t.Errorf("a state with another master is written as %v", got)
	}
}

// One unknown field is enough, wherever it is.
func TestState_KeepsOneUnknownField(t *testing.T) {
	for _, text := range []string{
		`{"service":"s","x":1}`,
		`{"service":"s","master":{"id":"a","address":"a:1","term":4,"guard":0,"max_lag":0,"x":1}}`,
		`{"service":"s","record":{"a":{"run_id":"r","address":"a:1","x":1}}}`,
		`{"service":"s","-":1}`,
	} {
		if d := cmp.Diff(tree(t, []byte(text)), tree(t, readState(t, []byte(text)))); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	if s := readState(t, []byte(`{"SERVICE":"s","x":1}`)); s.Service != "s" || s.UnknownFields != `{"x":1}` {
		t.Errorf("a name in capitals is read as %+v", s)
	}
	if s := readState(t, []byte(`{"service":"s","master":null,"record":null,"x":1}`)); s.Master != nil ||
		s.UnknownFields != `{"x":1}` {
		t.Errorf("a state without a master is read as %+v", s)
	}
}

func TestState_NewerVersion(t *testing.T) {
	const want = "the state was written by a newer resec: its version is 2, this resec knows version 1; upgrade resec on this host"
	for _, text := range []string{
		`{"service":"s","version":2}`,
		`{"service":"s","new":true,"version":2}`,
		`{"service":{"name":"s"},"master":[],"version":2}`, // of another shape
	} {
		s := State{Service: "before"}
		err := json.Unmarshal([]byte(text), &s)
		if !errors.Is(err, ErrNewerVersion) || err.Error() != want {
			t.Errorf("%s gives %v", text, err)
		}
		if s.Service != "before" || s.Version != 0 {
			t.Errorf("%s is interpreted: %+v", text, s)
		}
	}
}

func TestState_Unreadable(t *testing.T) {
	for _, text := range []string{`[]`, `{"version":"two"}`, `{"master":7}`, `{"record":{"a":[]}}`, `{"record":[],"x":1}`} {
		if err := json.Unmarshal([]byte(text), &State{}); err == nil || errors.Is(err, ErrNewerVersion) ||
			bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("%s gives %v", text, err)
		}
	}
	if s := readState(t, []byte(`null`)); s.Service != "" {
		t.Errorf("null is read as %+v", s)
	}
	if s := readState(t, []byte(`{"service":"s"}`)); s.Version != 0 || s.Service != "s" {
		t.Errorf("a state that was written before the first master is read as %+v", s)
	}
	if _, err := json.Marshal(State{UnknownFields: `{"a":}`}); err == nil {
		t.Error("invalid unknown fields are written")
	}
}

func BenchmarkState_Unmarshal(b *testing.B) {
	data, err := os.ReadFile("testdata/state-v1.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var s State
		if err := json.Unmarshal(data, &s); err != nil {
			b.Fatal(err)
		}
	}
}
