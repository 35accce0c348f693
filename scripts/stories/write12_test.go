package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A replica announces the address of an unrelated master: that is not changed.
func TestWrite12_ReplicaBehindAnothersAddress(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	host, its := lab.Host(), lab.Host()
	innocent, err := lab.ForTest(t).StartRedisAt("innocent", host+":6379")
	ok(t, err)
	_, err = lab.ForTest(t).StartRedisAt("natted", its+":6379", "--replica-announce-ip", host, "--replicaof", k.Redis[m].Host, "6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=unknown_replica ") })
	throughout(t, 3*time.Second, seldom(func() error { return innocent.Is("role", "master") }))
	ok(t, k.Stop())
}

// A replica that is no member and denies access stays with the master when that is cut off: the guard does not count it.
func TestWrite12_StrangerStaysWithTheMaster(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Network: true, Servers: 1})
	m := started(t, k)
	w := watched(t, k)
	_, err := k.Lab.Start("stranger", nil, k.Hosts[m].In("redis-server", "--bind", k.Redis[m].Host, "--port", "6380", "--save", "", "--requirepass", "x",
		"--replicaof", k.Redis[m].Host, "6379", "--repl-diskless-sync-delay", "0", "--dir", t.TempDir())...)
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		set, _, err := minReplicas(k.Redis[m])
		if p, err2 := countedOn(k); err == nil && (set != 2 || p.Master.Guard != 1) {
			err = fmt.Errorf("the guard is published as %d, and set to %d: %v", p.Master.Guard, set, err2)
		}
		return err
	})
	from := time.Now()
	ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
	next := succeeded(t, k, w, m)
	throughout(t, time.Until(from.Add(15*time.Second)), neverTwo(w))
	if last := lastBy(w, k.Redis[m]); last.After(next) {
		t.Errorf("it accepted writes until %s after the cut, another from %s", last.Sub(from), next.Sub(from))
	}
	ok(t, k.Heal(k.Hosts[m]))
	ok(t, k.Stop())
}

// The agent runs on another host than its Redis, and the link between them is cut: the Redis is not taken for frozen.
func TestWrite12_CutOffFromItsOwnAgent(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Network: true, Servers: 1})
	h, err := k.Net.Host("apart")
	ok(t, err)
	bin, err := lab.Resec()
	ok(t, err)
	_, err = k.Lab.Start("apart-agent", slices.Concat(k.Env, k.RedisEnv(0)), h.In(bin, "agent")...)
	ok(t, err)
	lab.Eventually(t, patience, func() error { return k.Redis[0].Is("role", "master") })
	ok(t, k.Agent(1))
	lab.Eventually(t, patience, func() error { return errors.Join(recorded(k), guarded(k, 0, 1)) })
	w := watched(t, k)
	ok(t, k.Net.Isolate(k.Hosts[0], lab.Drop, k.Here))
	succeeded(t, k, w, 0)
	throughout(t, 5*time.Second, neverTwo(w))
	if last, next := lastBy(w, k.Redis[0]), firstBy(w, k.Redis[1]); last.After(next) {
		t.Errorf("two accepted writes for %s", last.Sub(next))
	}
}

// The master's agent alone hangs while Consul is away: its replicas say that nobody else can lead, and its Redis continues. Told
// to leave before they have, the agent leaves the guard that others count on, and no fence.
func TestWrite12_AgentHangsWhileConsulIsAway(t *testing.T) {
	t.Parallel()
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprint("it leaves: ", leaves), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
			m := started(t, k)
			w := watched(t, k)
			k.Consul.Kill()
			k.Agents[m].Freeze()
			throughout(t, 3*time.Second, neverTwo(w))
			k.Agents[m].Thaw()
			lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=process_stalled") })
			if leaves {
				terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
			} else {
				lab.Eventually(t, 10*time.Second, func() error { return k.Agents[m].Said("event=unfenced_after_stall") })
			}
			lab.Eventually(t, 10*time.Second, func() error { // a busy machine may let it hang again
				set, lag, err := minReplicas(k.Redis[m])
				if err == nil && (set != 1 || lag != 5) {
					err = fmt.Errorf("the guard is %d of %d s", set, lag)
				}
				_, refused := k.Redis[m].Do("SET", "written", "1")
				return errors.Join(err, refused)
			})
			ok(t, k.Consul.Restart())
			if leaves {
				ok(t, k.Agent(m))
			}
			if v, now := judged(t, k, w); now != m && !leaves || errors.Join(v.NothingLost(), v.NeverTwo(0)) != nil {
				t.Errorf("%d leads, was %d: %v", now, m, v)
			}
			ok(t, k.Stop())
		})
	}
}

// The last agent is stopped while its Redis hangs: the operator's settings are restored.
func TestWrite12_LeavesWhileRedisHangs(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	k.Agents[others(k, m)[0]].Kill()
	k.Redis[m].Freeze()
	terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
	k.Redis[m].Thaw()
	ok(t, errors.Join(k.Agent(m), k.Agent(others(k, m)[0])))
	whole(t, k)
	ok(t, k.Stop())
	for _, r := range k.Redis {
		left(t, r, 0, 10)
	}
}

// Without a guard, its session is lost and Consul is out of reach at the same moment: the last lease ends it all the same.
func TestWrite12_WithoutAGuardNorASession(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 5, 10} {
		t.Run(fmt.Sprint(int(after)), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Network: true, Servers: 1, Env: []string{"GUARD=off"}})
			m := started(t, k)
			w := watched(t, k)
			done := make(chan error)
			go func() { <-time.After(after * time.Millisecond); done <- k.EndSession(m) }()
			from := time.Now()
			ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
			ok(t, <-done)
			throughout(t, time.Until(from.Add(10*time.Second)), func() error { return nil })
			figures(t).never("closed after", lastBy(w, k.Redis[m]).Sub(from), sessionTTL+time.Second)
			ok(t, k.Heal(k.Hosts[m]))
			whole(t, k)
			ok(t, k.Stop())
		})
	}
}

// The master is cut off from all but its clients, and its machine hangs for less than half of a long lag, just before it would
// close; or its Redis continues a little later than its agent.
func TestWrite12_HangsJustBeforeItCloses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name                      string
		env                       []string
		freeze, thaw, redis, over time.Duration
	}{
		{"a long lag", []string{"GUARD_MAX_LAG=15s"}, 15300, 22500, 22500, 26500},
		{"redis goes on later", []string{"HEALTHCHECK_FAILURES=3"}, 4000, 18000, 18700, 24000},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Network: true, Servers: 1, Env: v.env})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			from := time.Now()
			at := func(ms time.Duration) {
				throughout(t, time.Until(from.Add(ms*time.Millisecond)), func() error { return nil })
			}
			ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
			at(v.freeze)
			k.Agents[m].Freeze()
			k.Redis[m].Freeze()
			at(v.thaw)
			k.Agents[m].Thaw()
			at(v.redis)
			k.Redis[m].Thaw()
			at(v.over)
			var two []lab.Interval
			for _, o := range w.Prober.Overlaps() {
				two = append(two, o.Interval)
			}
			fig.never("two writable", longest(two), firstPass)
			ok(t, k.Heal(k.Hosts[m]))
			whole(t, k)
			ok(t, k.Stop())
		})
	}
}
