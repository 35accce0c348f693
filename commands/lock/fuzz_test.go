package lock

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// Any values of the keys below the lock's are read or rejected, and no decision on the view panics or contradicts itself.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"service":"redis-master","master":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":2,
		"guard":1,"max_lag":5},
		"chain":["x"],"record":{"a":{"run_id":"r","level":2}},"version":1}`),
		[]byte(`{"run_id":"r","address":"10.0.0.1:6379","own":{"min_replicas":-3,"max_lag":99999999}}`),
		[]byte(`{"to":"b","planned":true}`), []byte(`{"until":"2099-01-01T00:00:00Z"}`), []byte("a"))
	f.Add([]byte(`{"record":{"":{"level":18446744073709551615}},"chain":[null]}`), []byte(`[]`), []byte(`{"to":""}`),
		[]byte(`"x"`), []byte{0xff})
	f.Fuzz(func(t *testing.T, state, member, request, pause, holder []byte) {
		pair := func(key string, value []byte) *api.KVPair {
			return &api.KVPair{Key: key, Value: value, Session: "s", Flags: Flag, ModifyIndex: 7}
		}
		v := parse("k", 9, api.KVPairs{pair("k", holder), pair(stateKey("k"), state), pair(memberKey("k", "b"), member),
			pair(memberKey("k", ""), member),
			pair(requestKey("k"), request), pair(pauseKey("k"), pause), pair(historyKey("k"), state), pair("k/else", member)})
		if v.Err == nil && v.State.Master != nil && (v.State.Master.ID == "" || v.State.Master.Address == "") {
			t.Error("a master without id or address")
		}
		if v.Err != nil {
			return
		}
		if v.Pause.Active(time.Now()) && v.Pause.String() == "" {
			t.Error("an active pause has no text")
		}
		st := redis.Status{RunID: "r", Position: redis.Position{ReplID: "x", ReplID2: "y", ReplID2EndOffset: 3, Offset: 4},
			Priority: 100}
		cs := []cluster.Candidate{{ID: "a", Status: st}, {ID: "b", Status: redis.Status{RunID: "q"}}}
		for _, quiet := range []bool{false, true} {
			for _, c := range cluster.Rank(cs, v.State, v.State.Eligibility(cs, quiet)) {
				if c.IneligibleReason(v.State, v.State.Eligibility(cs, quiet)) != "" {
					t.Errorf("%s is ranked, but ineligible", c.ID)
				}
			}
		}
		if n := v.State.DetachQuorum(); n < 0 {
			t.Errorf("a quorum of %d members", n)
		}
		_, _ = v.State.NotRecordedReason("a", "r"), v.State.RefuseFollowReason("a", st)
		v.IsMembers("a", st)
		v.MayHoldNewerData("b")
		if _, err := json.Marshal(v.State.AliasHistory(v.State.ResolvePosition(st))); err != nil {
			t.Errorf("the state cannot be written again: %v", err)
		}
		cluster.Members(nil, v)
	})
}
