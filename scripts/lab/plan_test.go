package lab_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// planned is a cluster whose agents have settled.
func planned(t *testing.T, p lab.Plan) *lab.Cluster {
	t.Helper()
	p.Name = fmt.Sprint("p", time.Now().UnixNano()%1000000)
	began := time.Now()
	k, err := lab.ForTest(t).NewPlanned(p)
	ok(t, err)
	up := time.Since(began)
	t.Cleanup(func() {
		for _, a := range k.Agents {
			if t.Failed() && a != nil {
				t.Logf("%s:\n%s", a.Name, a.Output())
			}
		}
	})
	ok(t, k.Go())
	t.Logf("%d members: servers up after %.1f s, settled after %.1f s", p.Members, up.Seconds(), time.Since(began).Seconds())
	return k
}

func TestPlan_Options(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]lab.Plan{
		"plain":      {},
		"shared":     {Consul: shared(t)},
		"3 servers":  {Servers: 3},
		"clients":    {Clients: true},
		"network":    {Network: true},
		"parked":     {StartParked: true},
		"everything": {Servers: 3, Clients: true, Network: true, StartParked: true},
	} {
		t.Run(name, func(t *testing.T) {
			p.Members = 3
			k := planned(t, p)
			ok(t, k.Stop())
		})
	}
}

// A cluster with every option loses one part after the other, and recovers. Other tests check resec; this one checks that the lab
// inflicts what it is asked to, and sees the effects.
func TestPlan_Harm(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, Servers: 3, Clients: true, Network: true, StartParked: true})
	step := func(name string, harm func(m int, w *lab.Watch)) lab.Verdict {
		t.Helper()
		m, err := k.Master()
		ok(t, err)
		w, err := k.Watch(t.Context())
		ok(t, err)
		harm(m, w)
		v := w.Verdict(40 * time.Second)
		t.Logf("%s: %s", name, v)
		ok(t, errors.Join(v.Settled, v.Unknown))
		return v
	}
	v := step("the master's machine dies", func(m int, _ *lab.Watch) {
		k.Crash(m)
		lab.Eventually(t, 30*time.Second, func() error { return moved(t, k, m) })
		ok(t, k.Boot(m))
	})
	if v.Errors["connect: refused"] == 0 || v.Resyncs == 0 || v.Outage.Lasted() < 10*time.Millisecond {
		t.Errorf("a crash was not seen: %s", v)
	}
	step("the master is cut off from all but its clients", func(m int, w *lab.Watch) {
		ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
		lab.Eventually(t, 30*time.Second, func() error { return moved(t, k, m) })
		do(t, k.Redis[m], "PING")
		ok(t, k.Heal(k.Hosts[m]))
	})
	step("the leading Consul server is killed", func(int, *lab.Watch) { otherLeader(t, k) })
	step("a client agent leaves and is back", func(m int, _ *lab.Watch) {
		_, err := k.Clients[m].Stop(syscall.SIGTERM) // the code is 1 if leaving took longer than 5 s
		ok(t, err)
		ok(t, k.RestartAbsent())
		lab.Eventually(t, 20*time.Second, k.Joined)
	})
	v = step("a member is replaced", func(m int, _ *lab.Watch) {
		i, err := k.Add(lab.Member{ID: "new", RedisArgs: []string{"--maxmemory", "123456789"}})
		ok(t, err)
		ok(t, k.Agent(i))
		ok(t, k.Settled(20*time.Second))
		ok(t, k.Redis[i].Is("maxmemory", "123456789"))
		ok(t, k.Remove(m))
	})
	if len(v.Missing) != 2 {
		t.Errorf("a replaced member still counts: %v", v.Missing)
	}
	ok(t, k.Stop())
}

// moved returns nil once Consul lists another as master.
func moved(t *testing.T, k *lab.Cluster, from int) error {
	addr, err := k.Find(t.Context())
	if err == nil && addr == k.Redis[from].Addr {
		err = errors.New("the master has not moved")
	}
	return err
}

// otherLeader kills the leading Consul server, and starts it again once another leads.
func otherLeader(t *testing.T, k *lab.Cluster) {
	t.Helper()
	led, err := k.Leader()
	ok(t, err)
	k.Servers[led].Kill()
	lab.Eventually(t, 30*time.Second, func() error {
		now, err := k.Leader()
		if err == nil && now == led {
			err = errors.New("it still leads")
		}
		return err
	})
	ok(t, k.Servers[led].Start())
	ok(t, k.ServersReady(t.Context()))
}

// The lab's own questions go past a server that is frozen.
func TestPlan_FrozenServer(t *testing.T) {
	t.Parallel()
	k, err := lab.ForTest(t).NewPlanned(lab.Plan{Name: "frozen", Servers: 3})
	ok(t, err)
	led, err := k.Leader()
	ok(t, err)
	k.Servers[led].Freeze()
	lab.Eventually(t, 20*time.Second, func() error { _, err := k.Entries("frozen-master", ""); return err })
	lab.Eventually(t, 20*time.Second, func() error {
		if _, err := k.Find(t.Context()); !errors.Is(err, lab.ErrNoMaster) {
			return fmt.Errorf("the error for a service that is not registered is %v", err)
		}
		return nil
	})
	lab.Eventually(t, 20*time.Second, func() error {
		now, err := k.Leader()
		if err == nil && now == led {
			err = fmt.Errorf("server %d leads", now)
		}
		return err
	})
	k.Servers[led].Thaw()
	ok(t, k.ServersReady(t.Context()))
}

// What a Redis keeps over a restart is as planned.
func TestPlan_Persist(t *testing.T) {
	t.Parallel()
	consul := shared(t)
	for persist, want := range map[lab.Persist][3]string{ // keys after: kill and restart, SIGTERM and restart, kill and restart empty
		lab.None: {"0", "0", "0"}, lab.RDB: {"1", "2", "0"}, lab.AOF: {"2", "2", "0"},
	} {
		k, err := lab.ForTest(t).NewPlanned(lab.Plan{Name: "persist-" + string(persist), Members: 1, Consul: consul, Persist: persist})
		ok(t, err)
		r := k.Redis[0]
		fill := func() {
			do(t, r, "SET", "a", "1")
			if persist == lab.RDB {
				ok(t, r.Save())
			}
			do(t, r, "SET", "b", "1")
		}
		for i, again := range []func() error{
			func() error { r.Kill(); return r.Restart() },
			func() error { _, err := r.Stop(syscall.SIGTERM); return errors.Join(err, r.Restart()) },
			r.RestartEmpty,
		} {
			fill()
			ok(t, again())
			lab.Eventually(t, 5*time.Second, func() error { return r.Is("loading", "0") })
			if n := do(t, r, "DBSIZE"); n != want[i] {
				t.Errorf("%q: %s keys after restart %d, want %s", persist, n, i, want[i])
			}
		}
	}
}
