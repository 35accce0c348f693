package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// state is the state in Consul, as far as the stories read it.
type state struct {
	Service string
	Master  struct {
		ID      string
		RunID   string `json:"run_id"`
		Address string
		Term    uint64
	}
	Chain  []string
	Record map[string]struct {
		RunID   string `json:"run_id"`
		Address string
		Joining bool
	}
}

func stateOf(k *lab.Cluster) (s state, err error) {
	pair, _, err := k.Consul.Client.KV().Get(lockKey(k)+"/state", nil)
	if err == nil && pair == nil {
		err = errors.New("there is no state")
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(pair.Value, &s)
}

// lockKey is that of a cluster's agents: of a variable that is given twice the last one counts.
func lockKey(k *lab.Cluster) (key string) {
	for _, kv := range k.Env {
		if v, ok := strings.CutPrefix(kv, "CONSUL_LOCK_KEY="); ok {
			key = v
		}
	}
	return key
}

// recorded returns nil if the state names the master, and the record holds every running Redis, each under its run and
// caught up, and no other.
func recorded(k *lab.Cluster) error {
	s, err := stateOf(k)
	if err != nil {
		return err
	}
	running := 0
	for _, r := range k.Redis {
		if !r.Running() {
			continue
		}
		running++
		run, err := r.Info("run_id")
		if err != nil {
			return err
		}
		role, err := r.Info("role")
		if err != nil {
			return err
		}
		if role == "master" && (s.Master.RunID != run || s.Master.Address != r.Addr) {
			return fmt.Errorf("the master %s is not the one that is published: %+v", r.Name, s.Master)
		}
		if !slices.ContainsFunc(memberIDs(s), func(id string) bool {
			e := s.Record[id]
			return e.RunID == run && e.Address == r.Addr && !e.Joining
		}) {
			return fmt.Errorf("%s (%s, run %s) is not recorded as caught up: %+v", r.Name, r.Addr, run, s.Record)
		}
	}
	if len(s.Record) != running {
		return fmt.Errorf("%d members are recorded, %d run: %+v", len(s.Record), running, s.Record)
	}
	return nil
}

// caughtUp returns nil if the record says so of the member.
func caughtUp(k *lab.Cluster, id string) error {
	s, err := stateOf(k)
	if e, there := s.Record[id]; err == nil && (!there || e.Joining) {
		err = fmt.Errorf("%s is not recorded as caught up: %+v", id, s.Record)
	}
	return err
}

func memberIDs(s state) (ids []string) {
	for id := range s.Record {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// check is the status and the output of the check of the i-th Redis, as its Consul agent has them: Consul's servers learn
// of an output alone minutes later.
func check(k *lab.Cluster, i int) (status, output string, err error) {
	agent := k.Beside(i).Client.Agent()
	services, err := agent.Services()
	if err != nil {
		return "", "", err
	}
	checks, err := agent.Checks()
	if err != nil {
		return "", "", err
	}
	for _, c := range checks {
		s := services[c.ServiceID]
		if s != nil && strings.HasPrefix(s.Service, k.Name+"-") && net.JoinHostPort(s.Address, strconv.Itoa(s.Port)) == k.Redis[i].Addr {
			return c.Status, c.Output, nil
		}
	}
	return "", "", fmt.Errorf("%s has no check", k.Redis[i].Name)
}

// saysWhy waits until the words stand in the i-th agent's log, in the output of its check, which is then a warning, and in
// what `resec status` prints.
func saysWhy(t *testing.T, k *lab.Cluster, i int, words string) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		status, output, err := check(k, i)
		if err != nil {
			return err
		}
		if status != "warning" || !strings.Contains(output, words) {
			return fmt.Errorf("the check is %s, and says %q, not %q", status, output, words)
		}
		out, stderr, _, err := k.Run(i, "", "status")
		if err == nil && !strings.Contains(out, words) {
			err = fmt.Errorf("resec status does not say %q:\n%s%s", words, out, stderr)
		}
		return err
	})
	ok(t, k.Agents[i].Said(words))
}
