package agent

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// What a stop leaves of our Redis is what its operator had.
func TestRestore(t *testing.T) {
	t.Parallel()
	own := cluster.MinReplicas{MaxLag: 10}
	guard := cluster.MinReplicas{Replicas: 1, MaxLag: 4}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis)
		want    cluster.MinReplicas
		master  bool
		left    bool // the guard is left behind
	}{
		{"a master whose lock is lost and free", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			k := a.publish(t, s, "me")
			expect.OK(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
			a.known.Update(func(k *known.Snapshot) { k.View.Session, k.View.Holder = "", "" })
		}, own, true, false},
		{"a master whose lock another member holds", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "b")
		}, guard, true, true},
		{"a replica", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			k := a.publish(t, s, "me")
			expect.OK(t, a.local.Park(t.Context()))
			a.known.Update(func(is *known.Snapshot) { *is = k; is.View.State.Master = nil })
		}, own, false, false},
		{"a fenced master that is not published", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			expect.OK(t, a.local.FenceAfterLoss(t.Context()))
			a.known.Update(func(k *known.Snapshot) { k.View.State.Master = nil })
		}, own, false, false},
		{"a master that is not published", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *known.Snapshot) { k.View.State.Master = nil })
		}, guard, true, false},
		{"a new instance", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *known.Snapshot) { k.Operator.RunID = "run-old" })
		}, guard, true, false},
		{"when all is done already", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
			expect.OK(t, err)
		}, own, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, r := onServers(t)
			tt.prepare(t, a, session(t, a), r)
			c := newController(a)
			c.restore(t.Context())
			c.background.Wait()
			st := status(t, a.local)
			expect.Equal(t, "settings", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, tt.want)
			expect.Equal(t, "master", st.Master, tt.master)
			expect.Equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), tt.left)
		})
	}
	t.Run("one that is down", func(t *testing.T) {
		a, r := onServers(t)
		a.publish(t, session(t, a), "me")
		r.Kill()
		newController(a).restore(t.Context())
		expect.Equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), false)
	})
}

// The agent was asked to stop before it knew the session that it adopts.
func TestReacquire_AdoptsMeanwhile(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	acquire(t, a, s, "me", master("me", "run-me", 1))
	ctx, cancel := context.WithTimeout(t.Context(), expect.Patience)
	defer cancel()
	got := make(chan *lock.Session, 1)
	go func() {
		s, _, end, err := newController(a).reacquire(ctx, nil, "run-me")
		end()
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	a.known.Update(func(k *known.Snapshot) { k.SetSession(s) })
	expect.Equal(t, "session", <-got, s)
}

// At a stop the lock is taken again to remove the guard, unless another member relies on it.
func TestReacquire(t *testing.T) {
	t.Parallel()
	published := master("me", "run-me", 1)
	short := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 300*time.Millisecond)
	}
	for _, tt := range []struct {
		name   string
		holder string // empty: the lock is free
		m      *cluster.Master
		known  bool // the session is the one that we know
		want   bool
	}{
		{"we hold it", "me", published, true, true},
		{"it is free", "", published, true, true},
		{"it is free, and we have no session", "", published, false, true},
		{"a session of ours that was lost holds it", "me", published, false, false},
		{"another member holds it", "b", published, true, false},
		{"another instance is published", "me", master("me", "run-new", 1), true, false},
		{"none is published", "me", nil, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := onConsul(t)
			s := session(t, a)
			v := acquire(t, a, s, tt.holder+"", tt.m)
			if tt.holder == "" {
				expect.OK(t, a.Lock.Release(t.Context(), s.ID, v, ""))
			}
			ours := s
			if !tt.known {
				ours = nil
			}
			ctx, cancel := short()
			defer cancel()
			got, v, end, err := newController(a).reacquire(ctx, ours, "run-me")
			if (err == nil) != tt.want {
				t.Errorf("got %v", err)
			}
			if tt.want {
				expect.Equal(t, "session", got.ID, v.Session)
				expect.Equal(t, "ours", got == s, tt.holder != "")
			}
			end()
			if v, err = a.Lock.Read(t.Context()); err != nil || v.Free() != (tt.holder == "") {
				t.Errorf("after the end: %+v, %v", v, err)
			}
		})
	}
}

func TestAwaitsSuccessor(t *testing.T) {
	c := newController(bareAgent())
	replica := redis.Status{RunID: "run-me", MasterAddr: "10.0.0.1:6379"}
	for _, tt := range []struct {
		name string
		k    known.Snapshot
		st   redis.Status
		want bool
	}{
		{"it follows the successor", situation(), replica, false},
		{"it is a master", situation(), redis.Status{Master: true}, true},
		{"it was a replica of that address and is a master", situation(), redis.Status{Master: true, MasterAddr: "10.0.0.1:6379"},
			true},
		{"it follows another", situation(), redis.Status{MasterAddr: "10.0.0.2:6379"}, true},
		{"it is fenced", situation(), redis.Status{MasterAddr: replica.MasterAddr, MinReplicas: 2147483647}, true},
		{"no master is published", situation(clustertest.NoState), redis.Status{Master: true}, false},
		{"the lock is free", situation(clustertest.LockFree), redis.Status{Master: true}, false},
		{"the lock is ours", situation(clustertest.HoldingLock), redis.Status{Master: true}, false},
	} {
		expect.Equal(t, tt.name, c.awaitsSuccessor(tt.k, tt.st), tt.want)
	}
}

// A Redis that is down keeps nothing of ours, and its member key may go.
func TestNotRestored(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	a.notRestored(t.Context(), nil)
	expect.Equal(t, "restored", a.shutdown.guardLeftBehind.Load(), false)
	r.Kill()
	a.notRestored(t.Context(), a.local.RestoreSettings(t.Context(), cluster.MinReplicas{MaxLag: 10}))
	expect.Equal(t, "it is down", a.shutdown.guardLeftBehind.Load(), false)
	a.notRestored(t.Context(), io.EOF)
	expect.Equal(t, "it ended meanwhile", a.shutdown.guardLeftBehind.Load(), false)
	a, _ = withRedis(t)
	a.notRestored(t.Context(), fmt.Errorf("park the fenced master: %w", context.DeadlineExceeded))
	expect.Equal(t, "it hangs", a.shutdown.guardLeftBehind.Load(), true)
}
