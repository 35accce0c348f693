package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Redis and agent die together, as in a container: no agent releases the lock, and nothing listens at the address.
func TestEarly01_ContainerLost(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			fig.consul(k)
			died := time.Now()
			kill(k.Redis[m].Process, k.Agents[m])
			fig.within("new master", succeeded(t, k, w, m).Sub(died), time.Second)
			ok(t, errors.Join(k.Redis[m].Restart(), k.Agent(m)))
			v := became(t, k, w, m)
			fig.note("client outage", v.Outage.Lasted())
			if err := errors.Join(v.LostOnlyBetween(died.Add(-lateness), died.Add(lateness)), v.NeverTwo(0), v.NeverTwoListed(telling), k.Stop()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A machine is unreachable with all that runs on it. It may still be alive, so its guard must have closed first.
func TestEarly02_MachineLost(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1, Clients: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			from := time.Now()
			ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop))
			kill(k.Processes(m)...)
			after := succeeded(t, k, w, m).Sub(from)
			if after < evidence {
				t.Errorf("another accepted writes after %s: before %s there was no evidence", after, evidence)
			}
			fig.within("new master", after, probing+evidence+hangs+2500*time.Millisecond)
			ok(t, errors.Join(k.Net.HealAll(k.Hosts[m]), k.Clients[m].Restart(), k.Redis[m].Restart(), k.Agent(m)))
			v := became(t, k, w, m)
			if err := errors.Join(v.LostOnlyBetween(from.Add(-lateness), from.Add(lateness)), v.NeverTwo(0), v.NeverTwoListed(time.Second), k.Stop()); err != nil {
				t.Error(err)
			}
		})
	}
}

// probing is HEALTHCHECK_TIMEOUT; hangs is by how much longer than that a master may hang, and close in time.
const probing, hangs = 500 * time.Millisecond, time.Second

// With EARLY_TAKEOVER=false no agent destroys the session of another.
func TestEarly03_SwitchedOff(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{"EARLY_TAKEOVER=false"}})
	m := started(t, k)
	w := watched(t, k)
	died := time.Now()
	kill(k.Redis[m].Process, k.Agents[m])
	if after := succeeded(t, k, w, m).Sub(died); after < interval {
		t.Errorf("another accepted writes after %s: its check had not ended", after)
	}
	ok(t, k.Stop())
}

// The members cannot reach one another, and each reaches Consul: the master, whose agent says that it has lost its replicas,
// continues, and its session is not ended.
func TestEarly04_LinksCut(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1})
			m := started(t, k)
			_, session := stands(t, k)
			w := watched(t, k)
			for _, i := range others(k, m) {
				ok(t, k.Net.Cut(k.Hosts[m], k.Hosts[i], lab.Drop))
			}
			throughout(t, 20*time.Second, neverTwo(w))
			ok(t, k.Heal(k.Hosts[m]))
			v, now := judged(t, k, w)
			_, still := stands(t, k)
			if err := errors.Join(v.Sound(), notRefused(w), k.Stop()); err != nil || now != m || still != session {
				t.Errorf("%d leads, not %d, under session %s, not %s: %v", now, m, still, session, err)
			}
		})
	}
}

// The master's agent hangs, or dies, while its Redis is restarted, which comes up empty and as a master: clients are sent
// there until another is published, who parks it first.
func TestEarly05_RestartedBesideAnAgentThatHangs(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3, 5} {
		for j, dies := range []bool{false, true} {
			if i%2 != j && !*all {
				continue
			}
			t.Run(fmt.Sprint("n=", n)+named(dies, ", that dies"), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n})
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 500})
				for _, i := range others(k, m) {
					keep(t, 500, k.Redis[i])
				}
				w := watched(t, k)
				if dies {
					k.Agents[m].Kill()
				} else {
					k.Agents[m].Freeze()
				}
				ok(t, k.Redis[m].RestartEmpty())
				up := time.Now()
				succeeded(t, k, w, m)
				throughout(t, 5*time.Second, func() error {
					if late := lastBy(w, k.Redis[m]).Sub(up); late > 2*time.Second {
						return fmt.Errorf("it accepts writes %s after its restart", late)
					}
					return nil
				})
				if dies {
					ok(t, k.Agent(m))
				} else {
					k.Agents[m].Thaw()
				}
				whole(t, k, stored)
				ok(t, k.Stop())
			})
		}
	}
}
