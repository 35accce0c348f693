package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// onServers is the agent of "me" with a real Redis and a lock of its own on the real Consul.
func onServers(t *testing.T) (*Agent, *lab.Redis) {
	t.Helper()
	a := onConsul(t)
	var r *lab.Redis
	a.local, r = localServer(t)
	a.Creds, a.Me.Address = a.local.creds, r.Addr
	a.surveyor.Creds, a.surveyor.Own = a.Creds, a.local.status
	return a, r
}

// publish makes our Redis, with a guard, the published master under a session; and the agent know that.
func (a *Agent) publish(t *testing.T, s *lock.Session, holder string) snapshot {
	t.Helper()
	m := master("me", a.local.now(t).RunID, 1)
	m.Address, m.Guard, m.MaxLag = a.Me.Address, 1, 4
	ok(t, a.local.setGuard(t.Context(), a.local.now(t), cluster.MinReplicas{Replicas: 1, MaxLag: 4}, time.Hour))
	k := snapshot{}
	k.View = acquire(t, a, s, holder, m)
	k.Fresh, k.Probed, k.Health.Status = true, true, a.local.now(t)
	k.setSession(s)
	k.Operator = cluster.OperatorSettings{RunID: m.RunID, MinReplicas: cluster.MinReplicas{MaxLag: 10}}
	a.known.Update(func(is *snapshot) { *is = k })
	return k
}

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
			ok(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
			a.known.Update(func(k *snapshot) { k.View.Session, k.View.Holder = "", "" })
		}, own, true, false},
		{"a master whose lock another member holds", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "b")
		}, guard, true, true},
		{"a replica", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			k := a.publish(t, s, "me")
			ok(t, a.local.park(t.Context()))
			a.known.Update(func(is *snapshot) { *is = k; is.View.State.Master = nil })
		}, own, false, false},
		{"a fenced master that is not published", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			ok(t, a.local.fence(t.Context(), fencedForStall))
			a.known.Update(func(k *snapshot) { k.View.State.Master = nil })
		}, own, false, false},
		{"a master that is not published", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *snapshot) { k.View.State.Master = nil })
		}, guard, true, false},
		{"a new instance", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *snapshot) { k.Operator.RunID = "run-old" })
		}, guard, true, false},
		{"when all is done already", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
			ok(t, err)
		}, own, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, r := onServers(t)
			tt.prepare(t, a, session(t, a), r)
			c := newController(a)
			c.restore(t.Context())
			c.background.Wait()
			st := a.local.now(t)
			equal(t, "settings", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, tt.want)
			equal(t, "master", st.Master, tt.master)
			equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), tt.left)
		})
	}
	t.Run("one that is down", func(t *testing.T) {
		a, r := onServers(t)
		a.publish(t, session(t, a), "me")
		r.Kill()
		newController(a).restore(t.Context())
		equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), false)
	})
}

// A master whose lock another member has is fenced if there is no guard.
func TestFinish_WithoutAGuard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Agent, *snapshot)
		want   bool
	}{
		{"another member holds the lock", func(*Agent, *snapshot) {}, true},
		{"it is free", func(_ *Agent, k *snapshot) { k.View.Session = "" }, false},
		{"in a pause", func(_ *Agent, k *snapshot) { k.Paused = true }, false},
		{"with a guard", func(a *Agent, _ *snapshot) { a.Guard.Replicas = cluster.GuardAuto }, false},
	} {
		a, _ := withRedis(t)
		a.Guard.Replicas = cluster.GuardOff
		k := situation()
		tt.change(a, &k)
		a.known.Update(func(is *snapshot) { *is = k })
		term := &leaderTerm{a: a, session: &lock.Session{ID: "mine"}}
		term.finish(t.Context(), cluster.EndReason{Text: "the lock is lost"})
		equal(t, tt.name, a.local.now(t).Fenced(), tt.want)
		equal(t, "the session is verified", len(a.verifySession), 1)
	}
	a, _ := withRedis(t)
	a.Guard.Replicas = cluster.GuardOff
	a.known.Update(func(is *snapshot) { *is = situation() })
	term := &leaderTerm{a: a, session: &lock.Session{ID: "mine"}}
	term.finish(t.Context(), cluster.EndReason{Text: "an operator's request", KeepLock: true})
	equal(t, "the lock is kept: fenced", a.local.now(t).Fenced(), false)
	equal(t, "the lock is kept: verified", len(a.verifySession), 0)
}

// Another member must not count on a fence that could not be sent.
func TestSendEmergencyFence(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	term := &leaderTerm{a: a}
	why := cluster.EndReason{Release: cluster.WhyFrozen}
	ok(t, a.local.emergency.Connect(t.Context()))
	equal(t, "sent", term.sendEmergencyFence(t.Context(), why), cluster.WhyFrozen)
	equal(t, "fenced", a.local.now(t).Fenced(), true)
	r.Kill()
	a.local.emergency.Close()
	equal(t, "not sent", term.sendEmergencyFence(t.Context(), why), cluster.WhyUnhealthy)
}

func TestFailed(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	s := session(t, a)
	k := a.publish(t, s, "me")
	term := newLeaderTerm(newController(a), k)
	released := 0
	release := func() { released++ }
	ok(t, term.failed(t.Context(), takeover.NotNeeded(k.View), release, takeover.ErrYielded))
	if err := term.failed(t.Context(), nil, release, errNotHolder); !errors.Is(err, errNotHolder) {
		t.Errorf("got %v", err)
	}
	equal(t, "ended early", released, 0)
	failed := errors.New("redis refuses")
	if err := term.failed(t.Context(), nil, release, failed); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	equal(t, "ended", released, 1)
	v, err := a.Lock.Read(t.Context())
	ok(t, err)
	equal(t, "free", v.Free(), true)
	equal(t, "why", v.State.Why, cluster.WhyFailed)
	if _, err := term.confirmHolder(t.Context()); !errors.Is(err, errNotHolder) {
		t.Errorf("got %v", err)
	}
}

// A guard that cannot be published is tried again at the next turn, not at once.
func TestGuardKeeper_PublishFails(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	s, other := session(t, a), session(t, a)
	k := a.publish(t, s, "me")
	term := newLeaderTerm(newController(a), k)
	term.RunID, term.Session, term.Number = k.Health.Status.RunID, other.ID, 1
	g := &guardKeeper{t: term, unknown: cluster.UnknownReplicas{Count: -1}}
	moved, err := g.tryStep(t.Context(), k)
	if moved || !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is another's: %t, %v", moved, err)
	}
	term.Session = s.ID
	for range 3 { // published, set, done
		if moved, err = g.tryStep(t.Context(), a.known.Load()); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "more to do", moved, false)
	equal(t, "guard", a.local.now(t).MinReplicas, 0)
	equal(t, "published", a.known.Load().View.State.Guard().Replicas, 0)
	term.RunID = "run-old"
	if moved, err = g.tryStep(t.Context(), a.known.Load()); moved || err != nil {
		t.Errorf("another instance: %t, %v", moved, err)
	}
	ok(t, a.local.fence(t.Context(), fencedForStall))
	term.RunID = k.Health.Status.RunID
	expired := a.known.Load()
	expired.session = nil
	if moved, err = g.tryStep(t.Context(), expired); moved || !errors.Is(err, lock.ErrLease) {
		t.Errorf("without a lease: %t, %v", moved, err)
	}
	equal(t, "fenced", a.local.now(t).Fenced(), true)
}

// After it has caught up, a member must still be one that may lead.
func TestConfirmEligible(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	run := a.local.now(t).RunID
	k := snapshot{}
	k.Health.Status = a.local.now(t)
	confirm := (&contender{a: a}).confirmEligible(k)
	state := func(me string) cluster.State {
		return cluster.State{Master: master("b", "run-b", 1), Members: map[string]cluster.MemberRecord{
			"me": {RunID: me, Address: a.Me.Address, InSyncTerm: 1}, "b": {RunID: "run-b", Address: "127.0.0.1:2", InSyncTerm: 1}}}
	}
	ok(t, confirm(t.Context(), state(run)))
	if err := confirm(t.Context(), state("run-old")); err == nil {
		t.Error("our instance is not the recorded one")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := confirm(ended, state(run)); err == nil {
		t.Error("no member was asked")
	}
}

// Only a server that streams our history, and is no member, is parked.
func TestParkUnlessMember(t *testing.T) {
	t.Parallel()
	a, own := onServers(t)
	k := a.leads(t, 1)
	term := &leaderTerm{a: a}
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	park := func() error { return term.parkUnlessMember(t.Context(), k, other.Addr) }
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("a master: %v", err)
	}
	_, err = other.Do("REPLICAOF", own.Host, "6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return other.Follows(own) })
	k.Health.Status = a.local.now(t)
	runID, err := other.Info("run_id")
	ok(t, err)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID}
	ok(t, park())
	ok(t, other.Follows(own)) // it is a member
	delete(k.View.State.Members, "b")
	recorded := situation(func(k *cluster.Snapshot) { k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID} })
	a.known.Update(func(is *snapshot) { is.View = recorded.View })
	ok(t, park())
	ok(t, other.Follows(own)) // it was recorded meanwhile
	a.known.Update(func(is *snapshot) { *is = k })
	of := k.Health.Status.Position.ReplID
	k.Health.Status.Position.ReplID = "another"
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("of another history: %v", err)
	}
	k.Health.Status.Position.ReplID = of
	ok(t, park())
	ok(t, other.Is("master_host", "127.0.0.1", "master_port", "1"))
	other.Kill()
	if err := park(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is down: %v", err)
	}
}

// A pause is over by our clock, without a change in Consul.
func TestWatchPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := bareAgent()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { a.watchPause(ctx) })
		a.known.Update(func(k *snapshot) { k.View.Pause = &cluster.Pause{Until: time.Now().Add(time.Minute)} })
		synctest.Wait()
		equal(t, "paused", a.known.Load().Paused, true)
		<-time.After(time.Minute - 1)
		equal(t, "paused until its end", a.known.Load().Paused, true)
		<-time.After(1)
		synctest.Wait()
		equal(t, "paused after it", a.known.Load().Paused, false)
		cancel()
		done.Wait()
	})
}

// Each signal logs the state, whatever the log's level is.
func TestDumpOnSignal(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	var log logBuffer
	a.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	signals, ended := make(chan os.Signal), make(chan struct{})
	a.DumpState = signals
	var done sync.WaitGroup
	done.Go(func() { a.dumpOnSignal(ended) })
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1 // the first one is done by then
	close(ended)
	done.Wait()
	equal(t, "states logged", strings.Count(log.String(), "event=state "), 2)
}

// Our Redis is parked when its master is down or another instance answers there, and only then.
func TestMasterMonitor_Parks(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	m := newMasterMonitor(a)
	of := *master("b", "run-b", 1)
	_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
	ok(t, err)
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"it answers", redis.Health{Status: redis.Status{RunID: "run-b"}}, false},
		{"it hangs", redis.Health{Err: errTimeout{}, Status: redis.Status{RunID: "run-b"}}, false},
		{"another instance answers", redis.Health{Status: redis.Status{RunID: "run-new"}}, true},
	} {
		m.observe(t.Context(), of, tt.h)
		equal(t, tt.name, a.local.now(t).Parked(), tt.want)
		equal(t, "failure without early takeover", a.known.Load().Failure, cluster.MasterFailure{})
	}
}
