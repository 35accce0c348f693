package stories_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

const (
	// calm is how long no agent logs anything until a fault that lasts has settled.
	calm = 3 * time.Second
	// countedFor is how long lines are counted from then on.
	countedFor = 8 * time.Second
	// atOnce is how many lines of one event may be logged within its first minute: see logonce.Limiter.
	atOnce = 10
)

// The log of a fault that lasts, or that comes again and again, is bounded. Once it has settled no agent logs more than a line of an
// event whose first lines are spent. One more line of each event is due after five minutes.
func TestLife17_LogOfALastingFault(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name string
		plan lab.Plan
		do   func(*testing.T, *lab.Cluster, int) // starts the fault, given the master
		says string                              // by some agent
	}{
		{"a replica's redis hangs", lab.Plan{Members: 2}, func(_ *testing.T, k *lab.Cluster, m int) { k.Redis[(m+1)%2].Freeze() },
			"it does not answer"},
		{"a replica's redis dies after each start", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, m int) {
			again(t, 300*time.Millisecond, func() error {
				k.Redis[(m+1)%2].Kill()
				return k.Redis[(m+1)%2].Start()
			})
		}, "event=member_unsteady"},
		{"something else promotes a replica", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, m int) {
			again(t, 300*time.Millisecond, func() error {
				_, err := k.Redis[(m+1)%2].Do("REPLICAOF", "NO", "ONE")
				return err
			})
		}, "event=changed_by_other"},
		{"something else makes a replica another one's", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, m int) {
			again(t, 300*time.Millisecond, func() error {
				_, err := k.Redis[(m+1)%3].Do("REPLICAOF", k.Redis[(m+2)%3].Host, "6379")
				return err
			})
		}, "event=changed_by_other"},
		{"the password is another", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, _ int) {
			for _, r := range k.Redis {
				do(t, r, "ACL", "SETUSER", "lab", "on", "nopass", "~*", "&*", "+@all")
				do(t, r, "ACL", "SETUSER", "default", "resetpass", ">another")
				do(t, r, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			}
		}, "redis denies access"},
		{"one member has another lock key", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, m int) {
			i, err := k.Add(lab.Member{Env: []string{"CONSUL_LOCK_KEY=" + k.Name + "/.look"}})
			ok(t, err)
			do(t, k.Redis[i], "REPLICAOF", k.Redis[m].Host, "6379")
			ok(t, k.Agent(i))
		}, "have the same CONSUL_LOCK_KEY"},
		{"consul refuses seven in eight calls of one agent", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, _ int) {
			var calls atomic.Int64
			i, err := k.Add(lab.Member{Env: []string{"CONSUL_HTTP_ADDR=" + limiting(t, k.Consul, func() bool { return calls.Add(1)%8 != 0 })}})
			ok(t, err)
			ok(t, k.Agent(i))
			again(t, 300*time.Millisecond, func() error { // makes the watches of the lock ask again
				return k.Noise(fmt.Sprint(time.Now()))
			})
		}, "429"},
		{"the only member has another id now", lab.Plan{Members: 1}, func(t *testing.T, k *lab.Cluster, _ int) {
			do(t, k.Redis[0], "SET", "stored", "1")
			k.Agents[0].Kill()
			ok(t, k.Agents[0].Start("MEMBER_ID=renamed"))
		}, "it is recorded as m0: set MEMBER_ID back, or `resec failover -to renamed -force`"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			v.plan.StartParked = true
			v.plan.Env = []string{"LOG_LEVEL=INFO"}
			k := planned(t, v.plan)
			m := started(t, k)
			v.do(t, k, m)
			lab.Eventually(t, patience, func() error {
				var errs []error
				for _, a := range k.Agents {
					if err := a.Said(v.says); err != nil {
						errs = append(errs, fmt.Errorf("%s did not say %q", a.Name, v.says))
					}
				}
				if len(errs) < len(k.Agents) {
					return nil
				}
				return errors.Join(errs...)
			})
			last, since := lines(k), time.Now()
			lab.Eventually(t, patience, seldom(func() error {
				if now := lines(k); now != last {
					last, since = now, time.Now()
				}
				if time.Since(since) < calm {
					return fmt.Errorf("the agents have logged %v lines, and go on", last)
				}
				return nil
			}))
			settled := events(k)
			throughout(t, countedFor, seldom(func() error {
				for i, now := range events(k) {
					for event, n := range now {
						if n > settled[i][event]+1 && n > atOnce {
							return fmt.Errorf("agent %d logged event=%s %d times, %d of them within %s after the fault had settled",
								i, event, n, n-settled[i][event], countedFor)
						}
					}
				}
				return nil
			}))
		})
	}
}

// lines are how many lines each agent has logged.
func lines(k *lab.Cluster) (n [3]int) {
	for i, a := range k.Agents {
		n[i] = strings.Count(a.Output(), "\n")
	}
	return n
}

// events are how many lines of each event each agent has logged.
func events(k *lab.Cluster) (out []map[string]int) {
	for _, a := range k.Agents {
		n := map[string]int{}
		for line := range strings.Lines(a.Output()) {
			if _, after, found := strings.Cut(line, " event="); found {
				event, _, _ := strings.Cut(strings.TrimSpace(after), " ")
				n[event]++
			}
		}
		out = append(out, n)
	}
	return out
}

// again does something again and again until the test ends.
func again(t *testing.T, every time.Duration, do func() error) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = do() // it fails for as long as the agent has just done something else
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// Agents whose password is no longer right do not flood the servers with logins, and serve again with the right one.
func TestLife17_LoginsWithAnOldPassword(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, RedisArgs: []string{"--user", "resec", "on", ">secret", "allkeys", "allchannels", "+@all"},
		Env: []string{"REDIS_USERNAME=resec", "REDIS_PASSWORD=secret"}})
	m := started(t, k)
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "resec", "resetpass", ">another")
		do(t, r, "CLIENT", "KILL", "USER", "resec")
	}
	for i := range k.Redis {
		lab.Eventually(t, patience, func() error { return k.Agents[i].Said("event=redis_access_denied") })
	}
	const settling, watched = 2 * time.Second, 5 * time.Second // by then the pauses between two tries have grown
	throughout(t, settling, func() error { return nil })
	before := connections(t, k)
	throughout(t, watched, func() error { return nil })
	for i, n := range connections(t, k) {
		if perSecond := float64(n-before[i]) / watched.Seconds(); perSecond > 8 {
			t.Errorf("%s has %.1f new connections a second", k.Redis[i].Name, perSecond)
		}
	}
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "resec", "resetpass", ">secret")
	}
	whole(t, k)
	leads(t, k, m)
	ok(t, k.Stop())
}

// connections are how many connections each Redis has accepted.
func connections(t *testing.T, k *lab.Cluster) (out []int) {
	t.Helper()
	for _, r := range k.Redis {
		text, err := r.Info("total_connections_received")
		ok(t, err)
		n, err := strconv.Atoi(text)
		ok(t, err)
		out = append(out, n)
	}
	return out
}

// One member has another lock key from the first start of all on. The agents that see two masters under one service name say so,
// and status names the key.
func TestLife17_AnotherLockKeyFromTheStart(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	_, err := k.Add(lab.Member{Env: []string{"CONSUL_LOCK_KEY=" + k.Name + "/.look"}})
	ok(t, err)
	for i := range k.Redis {
		ok(t, k.Agent(i))
	}
	lab.Eventually(t, patience, func() error {
		for _, a := range k.Agents {
			if says(a, "the same CONSUL_LOCK_KEY") > 0 {
				return nil
			}
		}
		return errors.New("no agent names the lock key")
	})
	masters := 0
	for _, r := range k.Redis {
		if r.Is("role", "master") == nil {
			masters++
		}
	}
	if masters < 2 { // the last one to contend has seen the other master in time
		return
	}
	lab.Eventually(t, patience, func() error {
		out, _, _, err := k.Run(0, "", "status")
		if err == nil && !strings.Contains(out, "the same CONSUL_LOCK_KEY") {
			err = errors.New("status does not name the lock key: " + out)
		}
		return err
	})
}
