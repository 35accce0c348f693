package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Where what belongs to the lock at key stands beside it.
func StateKey(key string) string      { return key + "/state" }
func memberKey(key, id string) string { return key + "/members/" + id }
func requestKey(key string) string    { return key + "/failover" }
func pauseKey(key string) string      { return key + "/pause" }
func historyKey(key string) string    { return key + "/history" }

// Parse reads what a list of the keys below the lock's own gave.
func Parse(key string, index uint64, pairs api.KVPairs) cluster.View {
	v, odd := cluster.View{Index: index}, false
	for _, p := range pairs {
		switch p.Key {
		case key:
			odd = p.Flags != Flag
			v.LockIndex = p.ModifyIndex
			if v.Session = p.Session; v.Session != "" {
				v.Holder = string(p.Value)
			}
		case StateKey(key):
			v.StateIndex = p.ModifyIndex
			if err := json.Unmarshal(p.Value, &v.State); err != nil {
				v.Err = errors.Join(v.Err, fmt.Errorf("read the state at %s: %w", p.Key, err))
			} else if m := v.State.Master; m != nil && (m.ID == "" || m.Address == "") {
				v.Err = errors.Join(v.Err, fmt.Errorf("read the state at %s: its master has no id or no address", p.Key))
			}
		case requestKey(key):
			v.Request, v.Answered = parseRequest(p)
		case pauseKey(key):
			v.Pause = parsePause(p.Value)
		default:
			parseMember(&v, key, p)
		}
	}
	// Beside a state of ours an odd key is still our lock, on which somebody has run `consul kv put`.
	if odd && v.StateIndex == 0 {
		v.Err = fmt.Errorf("%w: %s", cluster.ErrConflict, key)
	}
	return v
}

// parseMember reads a member's key. What is no member's is left out.
func parseMember(v *cluster.View, key string, p *api.KVPair) {
	id, below := strings.CutPrefix(p.Key, memberKey(key, ""))
	m := cluster.MemberKey{Session: p.Session}
	if !below || id == "" || json.Unmarshal(p.Value, &m) != nil {
		return
	}
	if v.LiveAgents == nil {
		v.LiveAgents = map[string]cluster.MemberKey{}
	}
	v.LiveAgents[id] = m
}
