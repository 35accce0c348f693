package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// Recorded returns nil if every running Redis with a running agent is recorded in its present run, and has caught
// up, so that it may be elected.
func (k *Cluster) Recorded() error {
	var pair *api.KVPair
	err := k.ask(context.Background(), func(c *Consul, q *api.QueryOptions) (err error) {
		pair, _, err = c.Client.KV().Get(k.lockKey()+"/state", q)
		return err
	})
	if err == nil && pair == nil {
		err = errors.New("there is none at " + k.lockKey())
	}
	if err != nil {
		return fmt.Errorf("the cluster's state cannot be read: %w", err)
	}
	var state struct {
		Record map[string]struct {
			RunID   string `json:"run_id"`
			Joining bool   `json:"joining"`
		}
	}
	if err := json.Unmarshal(pair.Value, &state); err != nil {
		return err
	}
	runs := map[string]bool{}
	for _, m := range state.Record {
		runs[m.RunID] = !m.Joining
	}
	for i, r := range k.Redis {
		if !r.Running() || k.Agents[i] == nil || !k.Agents[i].Running() {
			continue
		}
		run, err := r.Info("run_id")
		if err != nil {
			return err
		}
		if !runs[run] {
			return fmt.Errorf("%s, run %s, is not recorded as one that has caught up: %s", r.Name, run, pair.Value)
		}
	}
	return nil
}
