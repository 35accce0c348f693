package stories_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/scripts/lab"
)

// counted is the guard that others count on, of which master, in which version of the state.
type counted struct {
	Master struct {
		Guard   int
		MaxLag  int    `json:"max_lag"`
		RunID   string `json:"run_id"`
		Address string
	}
	index uint64
}

func countedOn(k *lab.Cluster) (p counted, err error) {
	pair, _, err := k.Consul.Client.KV().Get(lockKey(k)+"/state", nil)
	if err == nil && pair == nil {
		err = errors.New("there is no state")
	}
	if err != nil {
		return p, err
	}
	p.index = pair.ModifyIndex
	return p, json.Unmarshal(pair.Value, &p)
}

// minReplicas are min-replicas-to-write and min-replicas-max-lag of a Redis, at the same moment.
func minReplicas(r *lab.Redis) (toWrite, maxLag int, err error) {
	got, err := r.Do("CONFIG", "GET", "min-replicas-*")
	if err != nil {
		return 0, 0, err
	}
	all := strings.Fields(strings.Trim(got, "[]"))
	number := func(name string) (n int) {
		n, err = strconv.Atoi(all[slices.Index(all, name)+1])
		return n
	}
	toWrite, maxLag = number("min-replicas-to-write"), number("min-replicas-max-lag")
	return toWrite, maxLag, err
}

// guarded returns nil if the guard of the i-th Redis is published and set as that.
func guarded(k *lab.Cluster, i, want int) error {
	p, err := countedOn(k)
	if err != nil {
		return err
	}
	set, _, err := minReplicas(k.Redis[i])
	if err == nil && (p.Master.Guard != want || set != want) {
		err = fmt.Errorf("the guard is published as %d, and set to %d on %s, not %d", p.Master.Guard, set, k.Redis[i].Name, want)
	}
	return err
}

// unfenced returns nil if every Redis could take writes, if it were the master with all others attached.
func unfenced(k *lab.Cluster) error {
	for _, r := range k.Redis {
		if n, _, err := minReplicas(r); err != nil || n >= len(k.Redis) {
			return fmt.Errorf("min-replicas-to-write of %s is %d: %v", r.Name, n, err)
		}
	}
	return nil
}

// closed returns nil if a master refuses writes because it has too few replicas.
func closed(r *lab.Redis) error {
	_, err := r.Do("DEL", "nothing")
	if err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		return fmt.Errorf("%s does not refuse a write as NOREPLICAS: %v", r.Name, err)
	}
	return nil
}

// neverBelow checks until the test ends, and fails it if the guard of the published master is below what others rely on:
// fewer replicas to write with, or a longer lag that a replica may have.
func neverBelow(t *testing.T, k *lab.Cluster) {
	var looking sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); looking.Wait() })
	looking.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for looks := 0; ; {
			select {
			case <-ctx.Done():
				t.Logf("the guard was looked at %d times", looks)
				return
			case <-tick.C:
			}
			is, toWrite, maxLag, err := guardNow(k)
			if err != nil {
				continue
			}
			looks++
			fence := toWrite > len(k.Redis)
			if toWrite < is.Master.Guard || is.Master.Guard > 0 && maxLag > is.Master.MaxLag && !fence {
				t.Errorf("others count on %+v, and it has %d replicas to write with, and %d s", is.Master, toWrite, maxLag)
				return
			}
		}
	})
}

// guardNow is the published guard, and what is set on the published master, at one moment: while that one was a master,
// and the state did not change.
func guardNow(k *lab.Cluster) (is counted, toWrite, maxLag int, err error) {
	if is, err = countedOn(k); err != nil {
		return is, 0, 0, err
	}
	i := slices.IndexFunc(k.Redis, func(r *lab.Redis) bool { return r.Addr == is.Master.Address })
	if i < 0 {
		return is, 0, 0, errors.New("the published master is none of ours")
	}
	isMaster := func() error { return k.Redis[i].Is("role", "master", "run_id", is.Master.RunID) }
	before := isMaster()
	toWrite, maxLag, err = minReplicas(k.Redis[i])
	after, err2 := countedOn(k)
	if err2 == nil && after.index != is.index {
		err2 = errors.New("the state has changed")
	}
	return is, toWrite, maxLag, errors.Join(before, err, err2, isMaster())
}
