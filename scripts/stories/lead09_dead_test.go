package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A master that dies with its agent has not left: its place in the record is kept.
func TestLead09_ADeadMasterStaysRecorded(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := started(t, k)
	id := fmt.Sprint("m", m)
	kill(k.Redis[m].Process, k.Agents[m])
	lab.Eventually(t, patience, func() error {
		s, err := stateOf(k)
		if err == nil && s.Master.ID == id {
			err = errors.New("it is published still")
		}
		return err
	})
	throughout(t, 3*time.Second, func() error {
		s, err := stateOf(k)
		if _, there := s.Record[id]; err == nil && !there {
			err = fmt.Errorf("%s is recorded no longer: %+v", id, s.Record)
		}
		return err
	})
	ok(t, k.Stop())
}

// The agent that an operator wants to promote dies with the lock, and so does the master: the third leads all the same.
func TestLead09_TheTargetOfAFailoverDies(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
	target, third := others(k, m)[0], others(k, m)[1]
	key := func() (session, value string) {
		pair, _, err := k.Consul.Client.KV().Get(fmt.Sprintf("%s/members/m%d", lockKey(k), target), nil)
		if ok(t, err); pair == nil {
			return "", ""
		}
		return pair.Session, string(pair.Value)
	}
	_, before := key()
	k.Agents[target].Kill()
	ok(t, k.Agent(target, "RESEC_CRASH_AT=elected"))
	lab.Eventually(t, patience, func() error { // it is whole before, too, by what the killed agent left
		if session, now := key(); session == "" || now == before {
			return errors.New("the new agent is not present yet")
		}
		return nil
	})
	whole(t, k, stored)
	done := make(chan int, 1)
	var printed atomic.Pointer[string]
	go func() {
		out, stderr, code, err := k.Run(third, "", "failover", "-to", fmt.Sprint("m", target), "-force", "-timeout", "25s")
		all := fmt.Sprintf("exit %d %v: %s%s", code, err, out, stderr)
		printed.Store(&all)
		done <- code
	}()
	lab.Eventually(t, patience, func() error {
		if all := printed.Load(); all != nil && k.Agents[target].Running() {
			return errors.New("the lock is not passed, and resec failover has ended: " + *all)
		}
		if k.Agents[target].Running() {
			return errors.New("the lock is not passed yet, but held by " + value(t, k.Consul, lockKey(k)))
		}
		return nil
	})
	ok(t, k.Agents[target].Said("crashing at elected"))
	kill(k.Redis[m].Process)
	began := time.Now()
	lab.Eventually(t, patience, func() error { return k.Redis[third].Is("role", "master") })
	if d := time.Since(began); d > 15*time.Second { // the dead agent's session lives for 2 to 6 s
		t.Errorf("no member led for %s because of the request", d)
	}
	if code := <-done; code != 4 {
		t.Errorf("resec failover exits with %d", code)
	}
	ok(t, k.Agent(target))
	ok(t, k.Redis[m].Start())
	whole(t, k, stored)
	ok(t, k.Stop())
}

// Another server takes the dead master's address: no Redis, or a Redis of another cluster that denies access, or one without a
// password. The master is replaced all the same, and the other server is not changed.
func TestLead09_SomethingElseAtItsAddress(t *testing.T) {
	t.Parallel()
	for name, listens := range map[string]func(t *testing.T, addr string) (end func()){
		"no redis": rude, "another's redis": stranger("--requirepass", "anothers"), "one that takes no password": stranger(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, RedisArgs: []string{"--requirepass", "ours"}, Env: []string{"REDIS_PASSWORD=ours"}})
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 300})
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) }) // what a stranger hides must be proven by the guard
			kill(k.Redis[m].Process, k.Agents[m])
			end := listens(t, k.Redis[m].Addr)
			var next int
			lab.Eventually(t, patience, func() (err error) {
				for _, next = range others(k, m) {
					if err = k.Redis[next].IsMaster(1); err == nil {
						break
					}
				}
				return err
			})
			ok(t, stored.on(k.Redis[next]))
			end()
			ok(t, k.Agent(m))
			ok(t, k.Redis[m].Restart())
			whole(t, k, stored)
			ok(t, k.Stop())
		})
	}
}

// rude listens, and answers as a web server does.
func rude(t *testing.T, addr string) (end func()) {
	l, err := net.Listen("tcp", addr)
	ok(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}
	})
	return func() {
		ok(t, l.Close())
		serving.Wait()
	}
}

// stranger is a Redis that belongs to no cluster.
func stranger(args ...string) func(t *testing.T, addr string) (end func()) {
	return func(t *testing.T, addr string) func() {
		r, err := lab.ForTest(t).StartRedisAt("stranger", addr, args...)
		ok(t, err)
		return func() {
			ok(t, r.IsMaster(0))
			_, err := r.Do("SET", "its", "own")
			ok(t, err)
			r.Kill()
		}
	}
}

// The password of a live master is changed, and its agent is killed: no agent can probe it, and it keeps serving its clients.
func TestLead09_TheMasterLetsNobodyIn(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 300})
	set := func(password string) {
		_, err := k.Redis[m].Do("CONFIG", "SET", "requirepass", password)
		ok(t, err)
	}
	set("changed")
	k.Agents[m].Kill()
	throughout(t, 15*time.Second, seldom(func() error { // its session and its guard's lag are over by far
		v, err := k.Redis[m].Do("SET", "walk", "on") // by a connection that was let in before
		if err != nil || v != "OK" {
			return fmt.Errorf("a write: %q, %w", v, err)
		}
		return sameRoles(k, m)
	}))
	set("")
	lab.Eventually(t, patience, func() error {
		for _, i := range others(k, m) {
			if k.Redis[i].Is("role", "master") == nil {
				return nil
			}
		}
		return errors.New("no member has taken over")
	})
	ok(t, k.Agent(m))
	whole(t, k, stored)
	ok(t, k.Stop())
}

// What an operator forced is done once: a member that comes back later with more than an emptied master is asked for anew.
func TestLead09_ForceIsUsedUp(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Persist: lab.AOF})
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 300})
	target := others(k, m)[0]
	if _, stderr, code, err := k.Run(m, "", "failover", "-to", fmt.Sprint("m", target), "-force"); err != nil || code != 0 {
		t.Fatalf("exit %d: %v\n%s", code, err, stderr)
	}
	whole(t, k, stored)
	leads(t, k, target)
	away := others(k, target)[1]
	lab.Eventually(t, patience, func() error { return guarded(k, target, 1) }) // so that the flush is not refused
	lab.Eventually(t, patience, func() error { return unforced(k) })
	kill(k.Redis[away].Process, k.Agents[away])
	do(t, k.Redis[target], "FLUSHALL")
	ok(t, k.Redis[away].Restart())
	keep(t, 300, k.Redis[away])
	ok(t, k.Agent(away))
	saysWhy(t, k, away, "it is empty, and would wipe")
	ok(t, k.Stop())
}

// unforced returns nil once no member is forced to follow: each was recorded as in sync.
func unforced(k *lab.Cluster) error {
	pair, _, err := k.Consul.Client.KV().Get(lockKey(k)+"/state", nil)
	if err != nil || pair == nil {
		return fmt.Errorf("the state: %w", err)
	}
	var s struct {
		Master struct {
			Forced []string `json:"overrule"`
		}
	}
	if err := json.Unmarshal(pair.Value, &s); err != nil || len(s.Master.Forced) > 0 {
		return fmt.Errorf("%v are forced to follow, %w", s.Master.Forced, err)
	}
	return nil
}
