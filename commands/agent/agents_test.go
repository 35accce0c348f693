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
	"resec/commands/expect"
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
	expect.OK(t, first.redis.Restart())
	if m, _ := g.settled(); m != second {
		t.Fatalf("%s is the master", m.id)
	}

	expect.OK(t, second.stop())
	expect.OK(t, second.said("handed_over"))
	g.leavesNothing(second)
	third, _ := g.settled()
	expect.Equal(t, "the former master follows", second.status().MasterAddr, third.redis.Addr)
	changes, err := g.lock.History(t.Context())
	expect.OK(t, err)
	for i, want := range []struct{ cause, to string }{{"the first master", first.id}, {cluster.WhyDead, second.id},
		{cluster.WhyLeaving, third.id}} {
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
			expect.OK(t, m.stop())
			g.leavesNothing(m)
		}
	}
	expect.OK(t, third.stop())
	g.leavesNothing(third)
	expect.OK(t, third.said("no_successor"))
	expect.Equal(t, "the last one stays master", third.status().Master, true)
	v := g.view()
	expect.Equal(t, "the lock is free", v.Free(), true)
	expect.Equal(t, "published guard", v.State.Guard().Replicas, 0)
	expect.Equal(t, "why", v.State.Why, cluster.WhyLeaving)
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
	expect.Equal(t, "the unknown one is parked", unknown.status().Parked(), true)
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}

	service := g.name() + "-master"
	registration := &api.AgentServiceRegistration{ID: "stale", Name: service, Port: 6379, Meta: catalog.Meta(replica.id, 0, "")}
	expect.OK(t, g.consul.Client.Agent().ServiceRegister(registration))
	master.saying("stale_master_demoted")
	expect.OK(t, g.consul.Client.Agent().ServiceDeregister("stale"))

	other := g.members[3]
	other.do("SET", "of", "another cluster")
	other.start()
	g.eventually(func() error {
		if st := other.status(); !st.Parked() {
			return fmt.Errorf("a redis with another cluster's data follows %s", st.MasterAddr)
		}
		return nil
	})
	expect.OK(t, other.stop())

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
		expect.OK(t, err)
		var v cluster.View
		g.eventually(func() error {
			if v = g.view(); v.Request != nil {
				return fmt.Errorf("%+v is open", v.Request)
			}
			return nil
		})
		expect.OK(t, end(t.Context()))
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
	expect.Equal(t, "new master", ask(cluster.Request{To: replica.id, Planned: true}).State.Master.ID, replica.id)
	if m, _ := g.settled(); m != replica {
		t.Fatalf("%s is the master", m.id)
	}
	expect.Equal(t, "new master", ask(cluster.Request{To: master.id}).State.Master.ID, master.id)
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}
	expect.OK(t, replica.said("lock_transferred_for_operator"))

	expect.OK(t, g.lock.Pause(t.Context(), cluster.Pause{Until: time.Now().Add(time.Hour), Since: time.Now()}))
	master.saying("cluster_paused")
	unknown, err := g.StartRedis("unknown", "--replicaof", master.redis.Host+" 6379")
	expect.OK(t, err)
	g.eventually(func() error {
		if n := len(master.report().Redis.Replicas); n != 2 {
			return fmt.Errorf("%d replicas", n)
		}
		return nil
	})
	g.eventually(func() error { return unknown.Follows(master.redis) }) // nothing is parked in a pause
	unknown.Kill()
	expect.OK(t, master.stop())
	expect.OK(t, master.said("handover_paused"))
	g.leavesNothing(master)
	expect.Equal(t, "it stays master", master.status().Master, true)
	expect.Equal(t, "master", g.view().State.Master.ID, master.id)
	expect.OK(t, g.lock.Resume(t.Context()))
	replica.saying("cluster_resumed")
	if m, _ := g.settled(); m != replica {
		t.Fatalf("%s is the master", m.id)
	}
}

// Of two agents of one member the second waits.
func TestAgents_Twice(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	first := g.members[0]
	first.start()
	g.settled()
	second := &groupMember{g: g, id: first.id, redis: first.redis}
	second.start()
	second.saying("not_started")
	expect.Equal(t, "ready", second.report().Why, notReady)
	expect.OK(t, second.stop())
	if m, _ := g.settled(); m != first {
		t.Fatalf("%s is the master", m.id)
	}
	expect.OK(t, first.stop())
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
