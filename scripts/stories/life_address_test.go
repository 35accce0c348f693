package stories_test

import (
	"errors"
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

// nodeMoves moves the node of the m-th member, the master: its Consul agent leaves, and comes back with another address. It returns
// that address once the master has its lock again, and what is published then.
func nodeMoves(t *testing.T, k *lab.Cluster, m int) (host string, published state) {
	t.Helper()
	before, err := stateOf(k)
	ok(t, err)
	host, err = k.NewAddress(m)
	ok(t, err)
	ok(t, k.MoveConsul(m, host))
	lab.Eventually(t, patience, func() error {
		p, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
		if err == nil && (p == nil || p.Session == "") {
			err = errors.New("the lock is free")
		}
		if err == nil {
			published, err = stateOf(k)
		}
		if err == nil && published.Master.Term == before.Master.Term {
			err = errors.New("the lock was not taken again")
		}
		_, unlinked := k.Linked()
		return errors.Join(err, unlinked, k.Joined())
	})
	leads(t, k, m)
	return host, published
}

// The node of the master gets another address at which Redis does not listen: the old address stays announced.
func TestLife01_OnlyItsNodeMoves(t *testing.T) {
	t.Parallel()
	k, m, w := moving(t)
	nodeMoves(t, k, m)
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=address_kept") })
	whole(t, k)
	leads(t, k, m)
	lostNothing(t, k, w)
	ok(t, k.Stop())
}

// The node of the master gets another address, and then its Redis does. Catalogue, state, members and replicas have the new one soon,
// in the same term. Mastership can be handed over from there.
func TestLife01_TheMasterMoves(t *testing.T) {
	t.Parallel()
	k, m, w := moving(t)
	host, before := nodeMoves(t, k, m)
	ok(t, k.MoveRedis(m, host))
	lab.Eventually(t, 20*interval, func() error { return isAt(k, m) })
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
	host, _ := nodeMoves(t, k, m)
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
