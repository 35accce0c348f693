package agent

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
)

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
	expect.OK(t, master.stop())
	expect.OK(t, master.said("handover_impossible"))
	expect.OK(t, master.said("guard_left_behind"))
	expect.Equal(t, "guard", master.status().MinReplicas, 1)
	master.link.mend()
	master.log.Reset()
	master.start()
	master.saying("session_adopted")
	if m, _ := g.settled(); m != master {
		t.Fatalf("%s is the master", m.id)
	}
	expect.Equal(t, "term", g.view().State.Term(), term)
	expect.OK(t, master.stop())
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
			expect.OK(t, m.said("elected_early"))
		} else if m != master {
			expect.OK(t, m.said("master_down"))
		}
	}
	master.link.mend()
	expect.OK(t, master.redis.Restart())
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
	expect.Equal(t, "fenced", m.status().Fenced(), true)
	m.link.mend()
	g.settled()
	expect.OK(t, m.stop())
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
			expect.OK(t, err)
			l := g.lock
			l.Member = dead.id
			expect.OK(t, l.PutMember(t.Context(), cluster.MemberKey{Session: s.ID, RunID: dead.status().RunID, Address: dead.redis.Addr}))
			g.eventually(func() error { // an agent waits for that, too, before its Redis follows
				if _, recorded := master.known.Load().View.State.Members[dead.id]; !recorded {
					return fmt.Errorf("%s is not recorded", dead.id)
				}
				return nil
			})
			dead.do("REPLICAOF", master.redis.Host, "6379")
			g.eventually(func() error {
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
			expect.OK(t, <-stopped)
			if tt.begins {
				expect.OK(t, master.said("handover_failed"))
				expect.Equal(t, "holder", g.view().Holder, dead.id)
				expect.OK(t, s.Destroy(t.Context()))
				return
			}
			expect.OK(t, master.said("lock_reclaimed"))
			expect.OK(t, master.said("handover_failed"))
			expect.Equal(t, "free", g.view().Free(), true)
			expect.Equal(t, "it is writable", master.status().MinReplicas, 0)
			expect.Equal(t, "it is the master", master.status().Master, true)
			expect.OK(t, s.Destroy(t.Context()))
		})
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
	g.eventually(func() error {
		if g.view().State.Guard().Replicas == 0 {
			return errors.New("the guard is not published yet, so nothing would prove that it has closed")
		}
		return nil
	})
	master.link.cut()
	master.redis.Freeze()
	g.eventually(func() error {
		if m := g.view().State.Master; m.ID == master.id {
			return fmt.Errorf("%s is still published", m.ID)
		}
		return nil
	})
	expect.OK(t, replica.said("master_unreachable"))
	expect.Equal(t, "the session still held the lock", g.view().State.Why, "")
	master.redis.Thaw()
	master.link.mend()
	g.settled()
}
