package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// The keys below the lock's key.
func stateKey(key string) string      { return key + "/state" }
func memberKey(key, id string) string { return key + "/members/" + id }
func requestKey(key string) string    { return key + "/failover" }
func pauseKey(key string) string      { return key + "/pause" }
func historyKey(key string) string    { return key + "/history" }

// parse reads a list of the lock's key and the keys below it. Other keys are ignored.
func parse(key string, index uint64, pairs api.KVPairs) cluster.View {
	v, notALock := cluster.View{Index: index}, false
	for _, p := range pairs {
		switch p.Key {
		case key:
			notALock = p.Flags != Flag
			v.LockIndex, v.Session, v.LastHolder = p.ModifyIndex, p.Session, string(p.Value)
			if v.Session != "" {
				v.Holder = v.LastHolder
			}
		case stateKey(key):
			v.StateIndex = p.ModifyIndex
			v.Err = errors.Join(v.Err, parseState(&v.State, p))
		case requestKey(key):
			v.Request, v.Answered = parseRequest(p)
		case pauseKey(key):
			if v.Pause = parsePause(p.Value); v.Pause != nil {
				v.PauseIndex = p.ModifyIndex
			}
		default:
			parseMember(&v, key, p)
		}
	}
	// With a state of ours below it, a key without the flag is still our lock: its value was set with `consul kv put`.
	if notALock && v.StateIndex == 0 {
		v.Err = fmt.Errorf("%w: %s", cluster.ErrConflict, key)
	}
	return v
}

// parseState reads the state. It returns an error for a state that is no JSON or names an incomplete master.
func parseState(s *cluster.State, p *api.KVPair) error {
	if err := json.Unmarshal(p.Value, s); err != nil {
		return fmt.Errorf("read the state at %s: %w", p.Key, err)
	}
	if m := s.Master; m != nil && (m.ID == "" || m.Address == "") {
		return fmt.Errorf("read the state at %s: its master has no id or no address", p.Key)
	}
	return nil
}

// parseMember adds a member's key to the view. It ignores any other key, and a member's key that is no JSON.
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
