package stories_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A Consul outage is not a Redis outage: the server is dead for longer than any session or check lives.
func TestWrite05_ConsulKilled(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3, 5} {
		for _, clients := range []bool{false, true} {
			if clients == (i == 1) && !*all {
				continue
			}
			t.Run(fmt.Sprint(n, " members")+named(clients, " with client agents"), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true, Servers: 1, Clients: clients})
				m := started(t, k)
				unharmed(t, k, m, 20*time.Second, k.Servers[0].Kill, k.Servers[0].Restart, time.Second)
			})
		}
	}
}

// Consul is unreachable: calls hang instead of being refused as above.
func TestWrite05_ConsulFrozen(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3, 5} {
		if !turn(i) {
			continue
		}
		t.Run(fmt.Sprint(n, " members"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true, Servers: 1})
			m := started(t, k)
			unharmed(t, k, m, time.Minute, k.Servers[0].Freeze, func() error {
				k.Servers[0].Thaw()
				return k.Servers[0].Ready(t.Context())
			}, time.Second)
		})
	}
}

// Of three servers the leading one dies. The agents' Consul agents find the others.
func TestWrite05_ConsulLeaderKilled(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 3, Clients: true})
	m := started(t, k)
	led, err := k.Leader()
	ok(t, err)
	unharmed(t, k, m, 20*time.Second, k.Servers[led].Kill, func() error {
		return errors.Join(k.Servers[led].Start(), k.ServersReady(t.Context()))
	}, time.Second)
}

// The Consul agent on the master's host is restarted. One that leaves takes its node, services and sessions with it.
func TestWrite05_ClientAgentRestarted(t *testing.T) {
	t.Parallel()
	for _, leaves := range []bool{false, true} {
		t.Run("killed"+named(leaves, " after it has left"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Clients: true})
			m := started(t, k)
			unharmed(t, k, m, 0, func() {
				if leaves {
					_, err := k.Clients[m].Stop(syscall.SIGTERM) // how well it has left, it says to itself
					ok(t, err)
				}
				k.Clients[m].Kill()
			}, k.Clients[m].Restart, time.Second+syncs)
		})
	}
}

// syncs is how long a Consul agent takes at most, after it has found a server, to tell it of its services. Source:
// serverUpIntv in https://github.com/hashicorp/consul/blob/main/agent/ae/ae.go
const syncs = 3 * time.Second

// unharmed: Consul, or a part of it, is down for that long without effect: no write is refused, and the master stays.
func unharmed(t *testing.T, k *lab.Cluster, m int, away time.Duration, harm func(), heal func() error, listed time.Duration) {
	t.Helper()
	before, _ := stands(t, k)
	fig, w := figures(t), watched(t, k)
	unmoved := seldom(func() error { return sameRoles(k, m) })
	harm()
	throughout(t, away, unmoved)
	ok(t, heal())
	back := consulBack(t, k)
	throughout(t, 8*time.Second, unmoved) // longer than a session lives that Consul has forgotten to end
	whole(t, k)
	v := w.Verdict(30 * time.Second)
	t.Log(v)
	fig.within("write pause", pause(w), 100*time.Millisecond)
	fig.within("listed again", untilListed(v, back), listed)
	if err := errors.Join(v.Sound(), v.NoResync(), notRefused(w)); err != nil {
		t.Error(err)
	}
	after, session := stands(t, k)
	holder := value(t, k.Consul, lockKey(k))
	if was, is := before.Master, after.Master; is.ID != was.ID || is.RunID != was.RunID || is.Term < was.Term || holder != was.ID || session == "" {
		t.Errorf("the master was %+v, and is %+v; %q holds the lock, under session %q", was, is, holder, session)
	}
	leads(t, k, m)
	ok(t, k.Stop())
}

// consulBack waits until each agent's Consul agent can be written to again, and returns when that was.
func consulBack(t *testing.T, k *lab.Cluster) time.Time {
	t.Helper()
	for i := range k.Redis {
		ok(t, k.Beside(i).Ready(t.Context()))
	}
	return time.Now()
}

// untilListed is how long Consul, back since then, did not list the master as passing.
func untilListed(v lab.Verdict, back time.Time) (d time.Duration) {
	for _, none := range v.None {
		if none.From.Before(back.Add(200 * time.Millisecond)) { // later ones have other causes
			d = max(d, none.To.Sub(back))
		}
	}
	return d
}

// While Consul is away replicas die: the guard, which cannot be lowered then, closes with the last of them only, and
// everything heals by itself.
func TestWrite05_AReplicaDiesMeanwhile(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
	m := started(t, k)
	replicas := others(k, m)
	fig, w := figures(t), watched(t, k)
	k.Servers[0].Kill()
	throughout(t, 8*time.Second, seldom(func() error { return sameRoles(k, m) })) // past the session's end
	k.Redis[replicas[0]].Kill()
	throughout(t, 8*time.Second, seldom(func() error { // longer than the guard's lag
		return errors.Join(k.Redis[m].IsMaster(1), notRefused(w))
	}))
	fig.within("write pause", pause(w), 100*time.Millisecond)
	dead := time.Now()
	k.Redis[replicas[1]].Kill()
	lab.Eventually(t, patience, func() error { return closed(k.Redis[m]) })
	fig.within("guard closes", time.Since(dead), 6*time.Second)
	throughout(t, 5*time.Second, func() error { return closed(k.Redis[m]) })
	for _, i := range replicas {
		ok(t, k.Redis[i].Restart())
	}
	ok(t, k.Servers[0].Restart())
	whole(t, k)
	v := w.Verdict(30 * time.Second)
	t.Log(v)
	ok(t, v.Sound())
	leads(t, k, m)
	ok(t, k.Stop())
}

// A replica is restarted meanwhile, and comes up as a master: it is parked, which needs no Consul.
func TestWrite05_ReplicaComesUpAsAMasterMeanwhile(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} {
		t.Run("Consul killed"+named(frozen, ", or frozen"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, Servers: 1})
			m := started(t, k)
			r := others(k, m)[0]
			if c := k.Servers[0]; frozen {
				c.Freeze()
				defer c.Thaw()
			} else {
				c.Kill()
			}
			k.Redis[r].Kill()
			ok(t, k.Redis[r].Restart())
			lab.Eventually(t, patience, func() error { return k.Redis[r].Is("role", "slave", "master_port", "1") })
			if c := k.Servers[0]; frozen {
				c.Thaw()
			} else {
				ok(t, c.Restart())
			}
			whole(t, k)
			leads(t, k, m)
		})
	}
}
