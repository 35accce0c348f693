package stories_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Clients that know Redis Sentinel, and nothing of resec, find the master through the agents' endpoints. They write through a
// planned move, a crash, a frozen Redis, an agent that leaves and an outage of Consul, without a restart. A planned move loses
// nothing of what was acknowledged. In a turn each client sees every second fault.
func TestClients01_ThroughSentinel(t *testing.T) {
	t.Parallel()
	for i, program := range lab.SentinelClients {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Sentinel: true})
			started(t, k)
			var endpoints []string
			for i := range k.Redis {
				endpoints = append(endpoints, k.SentinelAddr(i))
			}
			w, err := k.StartClient(t.Context(), program, k.Name, endpoints...)
			ok(t, err)
			defer w.Stop()
			lab.Eventually(t, patience, func() error { return w.Wrote(20) })
			throughMoves(t, k, w, func(fault int) bool { return turn(i, fault) })
			for kind := range w.Errors() {
				if strings.HasPrefix(kind, "ended: ") {
					t.Errorf("the client has %s", kind)
				}
			}
			ok(t, k.Stop())
		})
	}
}

// moves are what clients write through. A planned one loses nothing.
var moves = []struct {
	name    string
	planned bool
	make    func(t *testing.T, k *lab.Cluster, w *lab.Writer, m int)
}{
	{"switchover", true, func(t *testing.T, k *lab.Cluster, _ *lab.Writer, _ int) { switchedOver(t, k) }},
	{"handover", true, func(t *testing.T, k *lab.Cluster, _ *lab.Writer, m int) {
		code, err := k.Agents[m].Stop(syscall.SIGTERM)
		if err != nil || code != 0 {
			t.Errorf("the agent left with %d: %v", code, err)
		}
		ok(t, k.Agent(m))
	}},
	{"outage of consul", true, func(t *testing.T, k *lab.Cluster, w *lab.Writer, _ int) {
		k.Consul.Freeze()
		defer k.Consul.Thaw()
		before := w.Acked()
		throughout(t, 5*time.Second, func() error { return nil })
		if n := w.Acked() - before; n < 50 {
			t.Errorf("%d writes in 5 s without Consul", n)
		}
	}},
	{"crash", false, func(t *testing.T, k *lab.Cluster, _ *lab.Writer, m int) {
		k.Redis[m].Kill()
		succeededBy(t, k, m)
		ok(t, k.Redis[m].Restart())
	}},
	{"freeze", false, func(t *testing.T, k *lab.Cluster, _ *lab.Writer, m int) {
		k.Redis[m].Freeze()
		defer k.Redis[m].Thaw()
		lab.Eventually(t, patience, func() error {
			if addr, err := k.Find(t.Context()); err != nil || addr == k.Redis[m].Addr {
				return fmt.Errorf("%s is listed: %w", addr, err)
			}
			return nil
		})
	}},
}

// throughMoves makes each move of a turn, waits until the client has written again to whom leads then, and measures the pause.
func throughMoves(t *testing.T, k *lab.Cluster, w *lab.Writer, turn func(move int) bool) {
	t.Helper()
	fig := figures(t)
	for i, move := range moves {
		if !turn(i) {
			continue
		}
		from := time.Now()
		m, err := k.Master()
		ok(t, err)
		move.make(t, k, w, m)
		whole(t, k)
		lab.Eventually(t, patience, func() (err error) {
			m, err = k.Master()
			return err
		})
		more := w.Acked() + 20
		lab.Eventually(t, patience, func() error { return w.Wrote(more) })
		fig.within(move.name, longestFrom(w, from), 20*time.Second)
		if lost, err := w.LostOn(k.Redis[m]); move.planned && (err != nil || len(lost) > 0) {
			t.Errorf("%s: lost %d writes: %v %v", move.name, len(lost), lost[:min(3, len(lost))], err)
		}
	}
}

// switchedOver makes an operator's switchover.
func switchedOver(t *testing.T, k *lab.Cluster) {
	t.Helper()
	lab.Eventually(t, patience, func() error { // on a busy machine a replica may be far behind for a moment
		out, stderr, code, err := k.Run(0, "", "switchover")
		if err != nil || code != 0 {
			return fmt.Errorf("switchover exits with %d: %w\n%s%s", code, err, out, stderr)
		}
		return nil
	})
}

// longestFrom is the longest time without an acknowledged write that ended after a moment.
func longestFrom(w *lab.Writer, from time.Time) (d time.Duration) {
	for _, gap := range w.Gaps(0) {
		if gap.To.After(from) {
			d = max(d, gap.Lasted())
		}
	}
	return d
}
