package stories_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"resec/scripts/lab"
)

// The only member that was not restarted cannot lead: its priority is 0, or its agent is dead. It binds nobody: one of the others
// leads, with what it holds, also where they have lost their disks.
func TestLife19_NeverPromoted(t *testing.T) {
	t.Parallel()
	for _, dead := range []bool{false, true} {
		for _, empty := range []bool{false, true} {
			if !turn(bit(dead), bit(empty)) {
				continue
			}
			t.Run(fmt.Sprintf("its agent is dead: %t, the others have lost their disks: %t", dead, empty), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: 3, StartParked: true, Persist: lab.AOF})
				m := started(t, k)
				keeper, other := others(k, m)[0], others(k, m)[1]
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				keep(t, stored.n, k.Redis[keeper])
				if dead {
					k.Agents[keeper].Kill()
				} else {
					do(t, k.Redis[keeper], "CONFIG", "SET", "replica-priority", "0")
				}
				kill(k.Agents[m], k.Redis[m].Process, k.Agents[other], k.Redis[other].Process)
				for _, i := range []int{other, m} {
					if empty {
						ok(t, k.Redis[i].RestartEmpty())
					} else {
						ok(t, k.Redis[i].Restart())
					}
					ok(t, k.Agent(i))
				}
				now := succeededBy(t, k, keeper)
				ok(t, stored.on(k.Redis[now]))
				if dead {
					ok(t, k.Agent(keeper))
				}
				whole(t, k, stored)
				leads(t, k, now)
				ok(t, k.Stop())
			})
		}
	}
}

// zeroIsNewest is a cluster of two replicas in sync of which the one with priority 0 has what the other lacks. The other is frozen,
// with its agent.
func zeroIsNewest(t *testing.T) (k *lab.Cluster, m, newest, other int, much keys) {
	t.Helper()
	k = planned(t, lab.Plan{Members: 3, StartParked: true, RedisArgs: dropped})
	m = started(t, k)
	newest, other = others(k, m)[0], others(k, m)[1]
	do(t, k.Redis[newest], "CONFIG", "SET", "replica-priority", "0")
	whole(t, k)
	k.Redis[other].Freeze()
	k.Agents[other].Freeze()
	return k, m, newest, other, overflow(t, k.Redis[m])
}

// otherLeads kills the master, resumes the other replica, and waits until that one leads.
func otherLeads(t *testing.T, k *lab.Cluster, m, other int) {
	t.Helper()
	kill(k.Agents[m], k.Redis[m].Process)
	k.Redis[other].Thaw()
	k.Agents[other].Thaw()
	lab.Eventually(t, patience, func() error { // meanwhile the newest may be a fenced master
		now, err := k.Master()
		if err == nil && now != other {
			err = fmt.Errorf("m%d is the master", now)
		}
		return err
	})
	published(t, k, other)
}

// The other leads, and catches up with the newest before.
func TestLife19_NewestHasPriorityZero(t *testing.T) {
	t.Parallel()
	k, m, _, other, much := zeroIsNewest(t)
	otherLeads(t, k, m, other)
	ok(t, errors.Join(much.on(k.Redis[other]), k.Agents[other].Said("event=catch_up")))
	ok(t, k.Redis[m].Restart())
	ok(t, k.Agent(m))
	whole(t, k, much)
	leads(t, k, other)
	ok(t, k.Stop())
}

// The newest one's disk is full, so that no member can catch up from it. The other leads without what only that one has.
func TestLife19_NewestHasPriorityZeroAndNoDisk(t *testing.T) {
	t.Parallel()
	k, m, newest, other, _ := zeroIsNewest(t)
	ok(t, os.RemoveAll(k.Redis[newest].Dir))
	do(t, k.Redis[newest], "CONFIG", "SET", "save", "1 1")
	lab.Eventually(t, patience, func() error {
		_, _ = k.Redis[newest].Do("BGSAVE")
		return k.Redis[newest].Is("rdb_last_bgsave_status", "err")
	})
	otherLeads(t, k, m, other)
	ok(t, k.Agents[other].Said("event=newer_data_given_up"))
	ok(t, k.Stop())
}

// A priority is a wish about promotions. A master keeps its term with a priority of 0, also when its agent is restarted or its session
// is lost; it is handed over to another, and not back.
func TestLife19_PriorityEndsNoTerm(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	do(t, k.Redis[m], "CONFIG", "SET", "replica-priority", "0")
	before, err := countedOn(k)
	ok(t, err)
	k.Agents[m].Kill()
	ok(t, k.Agent(m))
	whole(t, k)
	held, err := lockSession(k)
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		now, err := lockSession(k)
		if err == nil && now == held {
			return errors.Join(errors.New("the lock is held by the session that was to end"), k.EndSession(m))
		}
		return err
	})
	whole(t, k)
	leads(t, k, m)
	after, err := countedOn(k)
	if ok(t, err); after.Master.RunID != before.Master.RunID {
		t.Errorf("the master's run is %s, and was %s", after.Master.RunID, before.Master.RunID)
	}
	command(t, k, "switchover")
	whole(t, k)
	leads(t, k, others(k, m)[0])
	refusal(t, k, "no member is eligible to lead", "switchover")
	ok(t, k.Stop())
}

// lockSession is the session that holds the lock.
func lockSession(k *lab.Cluster) (string, error) {
	pairs, err := k.Keys()
	for _, p := range pairs {
		if p.Key == lockKey(k) && p.Session != "" {
			return p.Session, nil
		}
	}
	return "", errors.Join(err, errors.New("the lock is free"))
}
