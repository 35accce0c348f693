package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A restarted agent is the old agent: it finds its lock, and nothing moves, whether it was the master's or a replica's.
func TestLead05_AgentRestarted(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{time.Second, 5 * time.Second} {
		for _, master := range []bool{true, false} {
			for _, parked := range []bool{false, true} {
				if (parked == (master == (away == time.Second)) || master == (away == time.Second)) && !*all {
					continue
				}
				whose := "the master's"
				if !master {
					whose = "a replica's"
				}
				t.Run(fmt.Sprint(whose, " after ", away)+named(parked, ", started parked"), func(t *testing.T) {
					t.Parallel()
					var args []string
					if parked {
						args = bornParked
					}
					k := cluster(t, 3, args...)
					// The lock is there for as long as the check's last update, an interval ago at most, is no older than two:
					// 3 s are left to start in. The session's own end is 20 s after its last renewal.
					interval := away + 3*time.Second
					k.Env = append(k.Env, "HEALTHCHECK_INTERVAL="+interval.String(), "CONSUL_LOCK_TTL=10s")
					m := started(t, k)
					stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
					keep(t, stored.n, k.Redis...)
					before, session := stands(t, k)
					one := m
					if !master {
						one = (m + 1) % 3
					}
					k.Agents[one].Kill()
					unmoved := func() error { return sameRoles(k, m) }
					throughout(t, away, unmoved)
					said := len(k.Agents[one].Output())
					ok(t, k.Agent(one))
					lab.Eventually(t, patience, func() error {
						ok(t, unmoved())
						if out := k.Agents[one].Output()[said:]; master && !strings.Contains(out, "adopted") {
							return errors.New("it has not adopted its predecessor's session")
						}
						return nil
					})
					throughout(t, 2*interval, unmoved) // as long as a check that is not renewed
					whole(t, k, stored)
					if after, now := stands(t, k); after.Master != before.Master || now != session {
						t.Errorf("it moved from %+v to %+v, from session %s to %s", before.Master, after.Master, session, now)
					}
					ok(t, k.Stop())
				})
			}
		}
	}
}

// stands returns the state and the session that holds the lock.
func stands(t *testing.T, k *lab.Cluster) (state, string) {
	t.Helper()
	var s state
	var session string
	lab.Eventually(t, patience, func() error { // a Consul agent may lose its servers for a moment
		is, err := stateOf(k)
		pair, _, err2 := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
		if err = errors.Join(err, err2); err == nil && pair == nil {
			err = errors.New("there is no lock")
		}
		if err == nil {
			s, session = is, pair.Session
		}
		return err
	})
	return s, session
}

// sameRoles returns nil if the m-th Redis takes a write, and the others follow it.
func sameRoles(k *lab.Cluster, m int) error {
	errs := []error{k.Redis[m].IsMaster(len(k.Redis) - 1)}
	for _, i := range others(k, m) {
		errs = append(errs, k.Redis[i].Follows(k.Redis[m]))
	}
	return errors.Join(errs...)
}

// The agent and its Redis were both restarted: the run that held the lock is no more, and the lock is given back long
// before the session's or the check's end.
func TestLead05_RedisAndAgentRestarted(t *testing.T) {
	t.Parallel()
	for _, dump := range []bool{false, true} {
		for _, parked := range []bool{false, true} {
			t.Run("empty"+named(dump, ", but for a dump")+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				var args []string
				if parked {
					args = bornParked
				}
				k := cluster(t, 3, args...)
				k.Env = append(k.Env, "HEALTHCHECK_INTERVAL=10s", "CONSUL_LOCK_TTL=30s")
				had(t, k.Redis[0], keys{prefix: "first", n: 1}) // otherwise no master is elected for 20 s
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				if dump {
					do(t, k.Redis[m], "SAVE")
				}
				for _, i := range others(k, m) {
					keep(t, stored.n, k.Redis[i])
				}
				// Its check was updated no longer ago than its interval, so that its session would last for 10 s more at least.
				killed := time.Now()
				kill(k.Agents[m], k.Redis[m].Process)
				ok(t, k.Redis[m].Start())
				ok(t, k.Agent(m))
				lab.Eventually(t, patience, func() error {
					now, err := k.Master()
					if err == nil && now == m {
						err = errors.New("the run that is empty is the master")
					}
					return err
				})
				if d := time.Since(killed); d > 10*time.Second {
					t.Errorf("a successor was there after %s: the lock was not given back", d)
				}
				whole(t, k, stored)
				ok(t, k.Stop())
			})
		}
	}
}
