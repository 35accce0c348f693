package stories_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// checked: promtool has nothing to say against what the i-th agent gives.
func checked(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	_, err := lab.Need("promtool")
	ok(t, err)
	code, body, err := answer(t.Context(), "GET", web(k, i), "/metrics")
	if err != nil || code != 200 {
		t.Fatalf("/metrics is %d: %v", code, err)
	}
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("m%d: promtool: %v\n%s\n%s", i, err, out, body)
	}
}

// valued waits until metrics of the i-th agent are as they should be.
func valued(t *testing.T, k *lab.Cluster, i int, want map[string]func(float64) bool) {
	t.Helper()
	lab.Eventually(t, patience, func() (err error) {
		for name, is := range want {
			v, e := metric(t, k, i, name)
			if e == nil && !is(v) {
				e = fmt.Errorf("m%d: %s is %v", i, name, v)
			}
			err = errors.Join(err, e)
		}
		return err
	})
}

func exactly(n float64) func(float64) bool { return func(v float64) bool { return v == n } }
func least(n float64) func(float64) bool   { return func(v float64) bool { return v >= n } }

func TestOperate03_Metrics(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, Servers: 1})
	m := answeringAll(t, k)
	healthy(t, k, 0, 1, 2)
	s, err := stateOf(k)
	ok(t, err)
	term := float64(s.Master.Term)
	valued(t, k, m, map[string]func(float64) bool{`resec_role{role="master"}`: exactly(1), `resec_role{role="replica"}`: exactly(0), "resec_healthy": exactly(1),
		"resec_term": exactly(term), "resec_promotions_total": least(1), "resec_lease_left_seconds": func(v float64) bool { return v > 0 && v <= sessionTTL.Seconds() },
		"resec_replication_offset_bytes": least(1)})
	if v, err := metric(t, k, m, "resec_replication_behind_bytes"); err == nil {
		t.Errorf("the master is %v bytes behind itself", v)
	}
	for _, i := range others(k, m) {
		valued(t, k, i, map[string]func(float64) bool{`resec_role{role="replica"}`: exactly(1), "resec_healthy": exactly(1), "resec_term": exactly(term),
			"resec_replication_behind_bytes": exactly(0), "resec_replication_offset_bytes": least(1)})
	}
	for i := range k.Redis {
		checked(t, k, i)
	}

	// The master's agent is killed, and the agent that takes over fences and parks its Redis.
	before := map[int]float64{}
	for _, i := range others(k, m) {
		if before[i], err = metric(t, k, i, "resec_promotions_total"); err != nil {
			t.Fatal(err)
		}
	}
	k.Agents[m].Kill()
	next := succeeds(t, k, m)
	valued(t, k, next, map[string]func(float64) bool{"resec_promotions_total": exactly(before[next] + 1), "resec_term": exactly(term + 1), "resec_fences_total": least(1),
		"resec_parks_total": least(2)}) // the old master, and the third
	answering(t, k, m)
	healthy(t, k, m)
	valued(t, k, m, map[string]func(float64) bool{"resec_promotions_total": exactly(0), "resec_term": exactly(term + 1)})

	last := others(k, m, next)[0]
	n, err := metric(t, k, last, "resec_redis_errors_total")
	ok(t, err)
	kill(k.Redis[last].Process)
	valued(t, k, last, map[string]func(float64) bool{`resec_role{role="unknown"}`: exactly(1), "resec_healthy": exactly(0), "resec_redis_errors_total": least(n + 1)})
	ok(t, k.Redis[last].Restart())
	healthy(t, k, last)

	n, err = metric(t, k, next, "resec_consul_errors_total")
	ok(t, err)
	kill(k.Consul.Process)
	valued(t, k, next, map[string]func(float64) bool{"resec_consul_errors_total": least(n + 1), `resec_role{role="master"}`: exactly(1)})
	ok(t, answers(t, k, next, "/master", 200, "master, term")) // an outage of Consul is none of Redis
	for i := range k.Redis {
		checked(t, k, i)
	}
	ok(t, k.Consul.Restart())
	whole(t, k)
	ok(t, k.Stop())
}
