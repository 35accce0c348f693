package stories_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// moving is a cluster of three hosts, each with a Consul client agent. Each member is announced at the address of its node, and
// its agent reaches its Redis by the loopback address. A client writes.
func moving(t *testing.T) (k *lab.Cluster, m int, w *lab.Writer) {
	t.Helper()
	k = planned(t, lab.Plan{StartParked: true, Network: true, Servers: 1, Clients: true})
	for range 3 {
		i, err := k.Add(lab.Member{RedisArgs: []string{"--bind", "*"}, Env: []string{"REDIS_ADDR=127.0.0.1:6379", "ANNOUNCE_ADDR=:6379"}})
		ok(t, err)
		do(t, k.Redis[i], "CONFIG", "SET", "bind", "127.0.0.1 "+k.Redis[i].Host)
	}
	m = started(t, k)
	w = k.Writing(5 * time.Millisecond).Start(t.Context())
	t.Cleanup(w.Stop)
	return k, m, w
}

// isAt returns nil if the state has the m-th member as the master at the address where its Redis is.
func isAt(k *lab.Cluster, m int) error {
	s, err := stateOf(k)
	if addr := k.Redis[m].Addr; err == nil && (s.Master.Address != addr || s.Record[s.Master.ID].Address != addr) {
		err = fmt.Errorf("the state does not have it at %s: %+v", addr, s)
	}
	return err
}

// lostNothing fails the test if the master does not have a write that was acknowledged.
func lostNothing(t *testing.T, k *lab.Cluster, w *lab.Writer) {
	t.Helper()
	n := w.Acked()
	lab.Eventually(t, patience, func() error { return w.Wrote(n + 1) })
	w.Stop()
	now, err := k.Master()
	ok(t, err)
	lost, err := w.LostOn(k.Redis[now])
	ok(t, err)
	if len(lost) > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", len(lost), w.Acked())
	}
}

// The node of the master gets another address, and then its Redis does. Until Redis listens there the old address stays announced.
// Then catalogue, state, members and replicas have the new one, in the same term.
func TestLife01_TheMasterMoves(t *testing.T) {
	t.Parallel()
	k, m, w := moving(t)
	host, err := k.NewAddress(m)
	ok(t, err)
	ok(t, k.MoveConsul(m, host))
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=address_kept") })
	whole(t, k)
	leads(t, k, m)
	before, err := stateOf(k)
	ok(t, err)
	ok(t, k.MoveRedis(m, host))
	lab.Eventually(t, patience, func() error { return isAt(k, m) })
	whole(t, k)
	after, err := stateOf(k)
	ok(t, err)
	if after.Master.RunID != before.Master.RunID || after.Master.Term != before.Master.Term {
		t.Errorf("it was %+v, and is %+v", before.Master, after.Master)
	}
	next := others(k, m)[0]
	stdout, stderr, code, err := k.Run(m, "", "switchover", "-to", fmt.Sprint("m", next))
	if err != nil || code != 0 {
		t.Errorf("switchover: exit %d %v: %s%s", code, err, stdout, stderr)
	}
	whole(t, k)
	leads(t, k, next)
	lostNothing(t, k, w)
	ok(t, k.Stop())
}

// The master's Redis gets another address, and its agent is killed before it has seen that. Connections to the published address are
// refused. The master is asked where its node is by now, and hands over all that was acknowledged.
func TestLife01_TheMasterMovesAndItsAgentIsKilled(t *testing.T) {
	t.Parallel()
	k, m, w := moving(t)
	host, err := k.NewAddress(m)
	ok(t, err)
	ok(t, k.MoveConsul(m, host))
	lab.Eventually(t, patience, k.Joined)
	lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
	whole(t, k)
	leads(t, k, m)
	k.Agents[m].Freeze()
	ok(t, k.MoveRedis(m, host))
	k.Agents[m].Kill()
	lab.Eventually(t, patience, func() error {
		now, err := k.Master() // an error if two are masters
		if err == nil && now == m {
			err = fmt.Errorf("%s leads without an agent", k.Redis[m].Name)
		}
		return err
	})
	ok(t, k.Agent(m))
	whole(t, k)
	lostNothing(t, k, w)
	ok(t, k.Stop())
}
