package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
)

// The first agent is elected and the others follow; then its Redis dies, and its successor's agent stops, and all of them.
func TestAgents_Lifecycle(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	first := g.members[0]
	first.start()
	g.settled()
	g.members[1].start()
	g.members[2].start()
	if m, _ := g.settled(); m != first {
		t.Fatalf("%s is the master", m.id)
	}
	first.redis.Kill()
	second, _ := g.settled()
	if second == first {
		t.Fatal("a redis that was killed is the master")
	}
	ok(t, first.redis.Restart())
	if m, _ := g.settled(); m != second {
		t.Fatalf("%s is the master", m.id)
	}

	ok(t, second.stop())
	ok(t, second.said("handed_over"))
	g.leavesNothing(second)
	third, _ := g.settled()
	equal(t, "the former master follows", second.status().MasterAddr, third.redis.Addr)
	changes, err := g.lock.History(t.Context())
	ok(t, err)
	for i, want := range []struct{ cause, to string }{{"the first master", first.id}, {cluster.WhyDead, second.id}, {cluster.WhyLeaving, third.id}} {
		if i >= len(changes) || changes[i].Cause != want.cause || changes[i].To != want.to || changes[i].Term != uint64(i+1) {
			t.Errorf("change %d of %+v", i, changes)
		}
	}
	second.start()
	if m, _ := g.settled(); m != third {
		t.Fatalf("%s is the master", m.id)
	}

	for _, m := range g.members {
		if m != third {
			ok(t, m.stop())
			g.leavesNothing(m)
		}
	}
	ok(t, third.stop())
	g.leavesNothing(third)
	ok(t, third.said("no_successor"))
	equal(t, "the last one stays master", third.status().Master, true)
	v := g.view()
	equal(t, "the lock is free", v.Free(), true)
	equal(t, "published guard", v.State.Guard().Replicas, 0)
	equal(t, "why", v.State.Why, cluster.WhyLeaving)
	for _, m := range g.members {
		m.start()
	}
	g.eventually(func() error {
		if m := g.view().State.Master; m.Term == v.State.Term() {
			return fmt.Errorf("%s is still the master", m.ID)
		}
		return nil
	})
	g.settled()
}

// What is changed by hand on a Redis or in Consul is put right.
func TestAgents_ChangesByHand(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 4)
	for _, m := range g.members[:2] {
		m.start()
	}
	master, replica := g.settled()
	unknown := g.members[2]

	replica.do("CONFIG", "SET", "replica-read-only", "no")
	replica.saying("read_only_set")
	replica.do("CONFIG", "SET", "min-replicas-to-write", "2")
	replica.saying("settings_restored")
	master.do("CONFIG", "SET", "min-replicas-to-write", "2147483647")
	master.saying("master_unfenced")
	unknown.do("REPLICAOF", master.redis.Host, "6379")
	master.saying("unknown_replica_parked")
	equal(t, "the unknown one is parked", unknown.status().Parked(), true)
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}

	service := g.name() + "-master"
	registration := &api.AgentServiceRegistration{ID: "stale", Name: service, Port: 6379, Meta: catalog.Meta(replica.id, 0, "")}
	ok(t, g.consul.Client.Agent().ServiceRegister(registration))
	master.saying("stale_master_demoted")
	ok(t, g.consul.Client.Agent().ServiceDeregister("stale"))

	other := g.members[3]
	other.do("SET", "of", "another cluster")
	other.start()
	g.eventually(func() error {
		if st := other.status(); !st.Parked() {
			return fmt.Errorf("a redis with another cluster's data follows %s", st.MasterAddr)
		}
		return nil
	})
	ok(t, other.stop())

	replica.do("REPLICAOF", "NO", "ONE")
	replica.saying("started_as_master")
	g.settled()
	master.do("REPLICAOF", "127.0.0.1", "1")
	g.eventually(func() error {
		if g.view().State.Term() < 2 {
			return fmt.Errorf("no other term has begun")
		}
		return nil
	})
	g.settled()
}

// An operator's requests and pauses are obeyed.
func TestAgents_Operator(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	for _, m := range g.members {
		m.start()
	}
	master, replica := g.settled()
	ask := func(r cluster.Request) cluster.View {
		t.Helper()
		end, err := g.lock.CreateRequest(t.Context(), r)
		ok(t, err)
		var v cluster.View
		g.eventually(func() error {
			if v = g.view(); v.Request != nil {
				return fmt.Errorf("%+v is open", v.Request)
			}
			return nil
		})
		ok(t, end(t.Context()))
		return v
	}
	answer := ask(cluster.Request{To: replica.id, Planned: true, DryRun: true}).Answered
	if answer == nil || !answer.Accepted {
		t.Errorf("the answer is %+v", answer)
	}
	answer = ask(cluster.Request{To: master.id, Planned: true}).Answered
	if answer == nil || answer.Accepted {
		t.Errorf("the answer is %+v", answer)
	}
	equal(t, "new master", ask(cluster.Request{To: replica.id, Planned: true}).State.Master.ID, replica.id)
	if m, _ := g.settled(); m != replica {
		t.Fatalf("%s is the master", m.id)
	}
	equal(t, "new master", ask(cluster.Request{To: master.id}).State.Master.ID, master.id)
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}
	ok(t, replica.said("lock_transferred_for_operator"))

	ok(t, g.lock.Pause(t.Context(), cluster.Pause{Until: time.Now().Add(time.Hour), Since: time.Now()}))
	master.saying("cluster_paused")
	unknown, err := g.StartRedis("unknown", "--replicaof", master.redis.Host+" 6379")
	ok(t, err)
	g.eventually(func() error {
		if n := len(master.report().Redis.Replicas); n != 2 {
			return fmt.Errorf("%d replicas", n)
		}
		return nil
	})
	g.eventually(func() error { return unknown.Follows(master.redis) }) // nothing is parked in a pause
	unknown.Kill()
	ok(t, master.stop())
	ok(t, master.said("handover_paused"))
	g.leavesNothing(master)
	equal(t, "it stays master", master.status().Master, true)
	equal(t, "master", g.view().State.Master.ID, master.id)
	ok(t, g.lock.Resume(t.Context()))
	replica.saying("cluster_resumed")
	if m, _ := g.settled(); m != replica {
		t.Fatalf("%s is the master", m.id)
	}
}

// A master whose agent cannot reach Consul keeps its guard; its next agent resumes the term.
func TestAgents_ConsulIsDown(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	for _, m := range g.members {
		m.start()
	}
	master, _ := g.settled()
	term := g.view().State.Term()
	master.link.cut()
	ok(t, master.stop())
	ok(t, master.said("handover_impossible"))
	ok(t, master.said("guard_left_behind"))
	equal(t, "guard", master.status().MinReplicas, 1)
	master.link.mend()
	master.log.reset()
	master.start()
	master.saying("session_adopted")
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}
	equal(t, "term", g.view().State.Term(), term)
	ok(t, master.stop())
	g.leavesNothing(master)
}

// A master that is dead together with its agent is replaced before its session ends.
func TestAgents_EarlyTakeover(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	for _, m := range g.members {
		m.start(func(a *Agent) { a.EarlyTakeover = true })
	}
	master, _ := g.settled()
	master.link.cut()
	master.redis.Kill()
	g.eventually(func() error {
		if m := g.view().State.Master; m.ID == master.id {
			return fmt.Errorf("%s is still published", m.ID)
		}
		return nil
	})
	next := g.view().State.Master.ID
	for _, m := range g.members {
		if m.id == next {
			ok(t, m.said("elected_early"))
		} else if m != master {
			ok(t, m.said("master_down"))
		}
	}
	master.link.mend()
	ok(t, master.redis.Restart())
	g.settled()
}

// A frozen master gets fence and park into its socket, and a replica is promoted.
func TestAgents_FrozenRedis(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	for _, m := range g.members {
		m.start(func(a *Agent) {
			a.Probe.Every, a.Probe.Timeout, a.Creds.Timeout = time.Second, time.Second, time.Second
		})
	}
	master, replica := g.settled()
	master.redis.Freeze()
	master.saying("emergency_fence_sent")
	g.eventually(func() error {
		if r := replica.report(); !r.Published {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	master.redis.Thaw()
	if m, _ := g.settled(); m != replica {
		t.Fatalf("%s is the master", m.id)
	}
}

// Without a guard a master is fenced when its lease is over, and unfenced once the lock is confirmed.
func TestAgents_WithoutAGuard(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	m := g.members[0]
	m.start(func(a *Agent) { a.Guard.Replicas, a.Session.TTL = cluster.GuardOff, 2*time.Second })
	g.settled()
	m.link.cut()
	m.saying("lease_over_fenced")
	equal(t, "fenced", m.status().Fenced(), true)
	m.link.mend()
	g.settled()
	ok(t, m.stop())
	g.leavesNothing(m)
}

// A successor that does nothing with the lock loses it again. One that has begun with our Redis keeps it.
func TestAgents_SuccessorThatHangs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		begins bool
	}{{"before it has begun", false}, {"after it has begun", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGroup(t, 2)
			master, dead := g.members[0], g.members[1]
			master.start()
			g.settled()
			s, err := lock.NewSession(t.Context(), g.consul.Client, lock.SessionOptions{Name: "hangs", TTL: time.Minute})
			ok(t, err)
			l := g.lock
			l.Member = dead.id
			ok(t, l.PutMember(t.Context(), cluster.MemberKey{Session: s.ID, RunID: dead.status().RunID, Address: dead.redis.Addr}))
			dead.do("REPLICAOF", master.redis.Host, "6379")
			g.eventually(func() error {
				if dead.status().Parked() { // the master may see its link before its key
					dead.do("REPLICAOF", master.redis.Host, "6379")
				}
				if r := g.view().State.Members[dead.id]; r.InSyncTerm == 0 || master.status().MinReplicas != 1 {
					return fmt.Errorf("%s is recorded as %+v", dead.id, r)
				}
				return nil
			})
			stopped := make(chan error, 1)
			stop := master.stopIt
			master.Agent = nil
			go func() { stopped <- stop() }()
			if tt.begins {
				master.saying("lock_transferred")
				master.do("CONFIG", "SET", "min-replicas-to-write", "2147483647")
			}
			ok(t, <-stopped)
			if tt.begins {
				ok(t, master.said("handover_failed"))
				equal(t, "holder", g.view().Holder, dead.id)
				ok(t, s.Destroy(t.Context()))
				return
			}
			ok(t, master.said("lock_reclaimed"))
			ok(t, master.said("no_successor"))
			equal(t, "free", g.view().Free(), true)
			equal(t, "it is writable", master.status().MinReplicas, 0)
			equal(t, "it is the master", master.status().Master, true)
			ok(t, s.Destroy(t.Context()))
		})
	}
}

// Of two agents of one member the second waits.
func TestAgents_Twice(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	first := g.members[0]
	first.start()
	g.settled()
	second := &member{g: g, id: first.id, redis: first.redis}
	second.start()
	second.saying("not_started")
	equal(t, "ready", second.report().Why, notReady)
	ok(t, second.stop())
	if m, _ := g.settled(); m != first {
		t.Fatalf("%s is the master", m.id)
	}
	ok(t, first.stop())
	g.leavesNothing(first)
}

// An agent ends with an error if the lock belongs to a cluster of another name, and changes nothing.
func TestAgents_Misconfigured(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	first, second := g.members[0], g.members[1]
	first.start()
	g.settled()
	second.start(func(a *Agent) { a.Registrar.Naming.Prefix = "other" })
	g.eventually(func() error {
		select {
		case <-second.ended:
			return nil
		default:
			return errors.New("it still runs")
		}
	})
	if err := second.stop(); err == nil || !strings.Contains(err.Error(), "two clusters need two") {
		t.Errorf("got %v", err)
	}
	if st := second.status(); !st.Master || st.MinReplicas != 0 {
		t.Errorf("its redis was changed: %+v", st)
	}
}

// A master that neither answers nor refuses, and whose agent is cut off, is replaced once its guard has closed.
func TestAgents_UnreachableMaster(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	for _, m := range g.members {
		m.start(func(a *Agent) {
			a.EarlyTakeover, a.Guard.MaxLag, a.Probe.Timeout, a.Creds.Timeout = true, 1, time.Second, time.Second
		})
	}
	master, replica := g.settled()
	master.link.cut()
	master.redis.Freeze()
	g.eventually(func() error {
		if m := g.view().State.Master; m.ID == master.id {
			return fmt.Errorf("%s is still published", m.ID)
		}
		return nil
	})
	ok(t, replica.said("master_unreachable"))
	equal(t, "the session still held the lock", g.view().State.Why, "")
	master.redis.Thaw()
	master.link.mend()
	g.settled()
}
