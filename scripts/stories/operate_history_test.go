package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// told is the history as `resec history -json` prints it.
func told(k *lab.Cluster) (all []struct {
	From, To, Cause string
	Term            uint64
	Outage          time.Duration `json:"outage_ns"`
}, err error) {
	out, stderr, code, err := k.Run(0, "", "history", "-json")
	if err != nil || code != 0 {
		return nil, fmt.Errorf("exit %d %w %s", code, err, stderr)
	}
	return all, json.Unmarshal([]byte(out), &all)
}

// The history has each change of master: from which member, to which member, and why.
func TestOperate05_History(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	var causes, chain []string
	check := func(cause string) int {
		t.Helper()
		m, err := k.Master()
		ok(t, err)
		causes, chain = append(causes, cause), append(chain, fmt.Sprint("m", m))
		lab.Eventually(t, patience, func() error {
			all, err := told(k)
			if err == nil && len(all) != len(causes) {
				err = fmt.Errorf("%d changes, not %d", len(all), len(causes))
			}
			for i, c := range all {
				if err == nil && (c.Cause != causes[i] || c.To != chain[i] || i > 0 && (c.From != chain[i-1] || c.Term <= all[i-1].Term || c.Outage <= 0)) {
					err = fmt.Errorf("change %d is %+v, not %s to %s", i, c, causes[i], chain[i])
				}
			}
			return err
		})
		return m
	}
	started(t, k)
	whole(t, k)
	check("the first master")
	command(t, k, "switchover")
	whole(t, k)
	m := check("switchover")
	k.Redis[m].Kill()
	lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
	m = check("dead")
	for i, r := range k.Redis {
		if !r.Running() {
			ok(t, r.Restart())
			whole(t, k)
			t.Logf("m%d is back", i)
		}
	}
	terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
	lab.Eventually(t, patience, func() error {
		now, err := k.Linked()
		if err == nil && now == m {
			err = errors.New("it has not handed over")
		}
		return err
	})
	check("leaving")
	command(t, k, "history")
	ok(t, k.Agent(m))
	whole(t, k)
	ok(t, k.Stop())
}

// A member that will not come back is removed, and no longer counts; one that is alive is not removed.
func TestOperate06_Forget(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	gone := others(k, m)[0]
	id := fmt.Sprint("m", gone)
	refusal(t, k, "unknown member", "forget", "nobody")
	refusal(t, k, "consul has a session of the agent of "+id, "forget", id)
	k.Agents[gone].Kill()
	lab.Eventually(t, patience, func() error {
		pair, _, err := k.Consul.Client.KV().Get(lockKey(k)+"/members/"+id, nil)
		if err == nil && pair != nil && pair.Session != "" {
			err = errors.New("its session still exists")
		}
		return err
	})
	refusal(t, k, "the redis of "+id+" answers", "forget", id)
	k.Redis[gone].Kill()
	command(t, k, "forget", id)
	s, err := stateOf(k)
	ok(t, err)
	if _, recorded := s.Record[id]; recorded || len(s.Record) != 2 {
		t.Errorf("the record is %+v", s.Record)
	}
	ok(t, forgotten(k, gone))
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	ok(t, k.Redis[gone].Restart())
	ok(t, k.Agent(gone))
	whole(t, k)
	ok(t, k.Stop())
}
