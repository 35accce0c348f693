package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/scripts/lab"
)

// A master whose lock another member has is fenced if there is no guard.
func TestFinish_WithoutAGuard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Agent, *known.Snapshot)
		want   bool
	}{
		{"another member holds the lock", func(*Agent, *known.Snapshot) {}, true},
		{"it is free", func(_ *Agent, k *known.Snapshot) { k.View.Session = "" }, false},
		{"in a pause", func(_ *Agent, k *known.Snapshot) { k.Paused = true }, false},
		{"with a guard", func(a *Agent, _ *known.Snapshot) { a.Guard.Replicas = cluster.GuardAuto }, false},
	} {
		a, _ := withRedis(t)
		a.Guard.Replicas = cluster.GuardOff
		k := situation()
		tt.change(a, &k)
		a.known.Update(func(is *known.Snapshot) { *is = k })
		term := &leaderTerm{a: a, session: &lock.Session{ID: "mine"}}
		term.finish(t.Context(), cluster.EndReason{Text: "the lock is lost"})
		expect.Equal(t, tt.name, status(t, a.local).Fenced(), tt.want)
		expect.Equal(t, "the session is verified", len(a.verifySession), 1)
	}
	a, _ := withRedis(t)
	a.Guard.Replicas = cluster.GuardOff
	a.known.Update(func(is *known.Snapshot) { *is = situation() })
	term := &leaderTerm{a: a, session: &lock.Session{ID: "mine"}}
	term.finish(t.Context(), cluster.EndReason{Text: "an operator's request", KeepLock: true})
	expect.Equal(t, "the lock is kept: fenced", status(t, a.local).Fenced(), false)
	expect.Equal(t, "the lock is kept: verified", len(a.verifySession), 0)
}

// An agent that stops has lost its lock only if another session holds it; and it fences although its context has ended.
func TestLostUnguarded(t *testing.T) {
	t.Parallel()
	stops := cluster.EndReason{ShuttingDown: true, Text: "the agent leaves"}
	a, _ := withRedis(t)
	a.Guard.Replicas = cluster.GuardOff
	term := &leaderTerm{a: a, session: &lock.Session{ID: "mine"}}
	expect.Equal(t, "a stop", term.lostUnguarded(leading(), stops), false)
	expect.Equal(t, "a stop after a loss", term.lostUnguarded(situation(), stops), true)
	expect.Equal(t, "a stop with a free lock", term.lostUnguarded(situation(clustertest.LockFree), stops), false)
	expect.Equal(t, "a loss that the view does not show yet", term.lostUnguarded(leading(), cluster.EndReason{}), true)
	expect.Equal(t, "another end", term.lostUnguarded(situation(), cluster.EndReason{Release: cluster.WhyDead}), false)
	ended, end := context.WithCancel(t.Context())
	end()
	term.fenceAfterLoss(ended, stops)
	expect.Equal(t, "fenced", status(t, a.local).Fenced(), true)
}

// Another member must not count on a fence that could not be sent.
func TestSendEmergencyFence(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	term := &leaderTerm{a: a}
	why := cluster.EndReason{Release: cluster.WhyFrozen}
	ctx, end := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { a.local.KeepEmergencyFence(ctx) })
	lab.Eventually(t, 10*time.Second, func() error { // its connection is open soon
		if release := term.sendEmergencyFence(t.Context(), why); release != cluster.WhyFrozen {
			return errors.New("not sent: " + release)
		}
		return nil
	})
	expect.Equal(t, "fenced", status(t, a.local).Fenced(), true)
	end()
	keeping.Wait()
	r.Kill()
	a.local.Close()
	expect.Equal(t, "not sent", term.sendEmergencyFence(t.Context(), why), cluster.WhyUnhealthy)
}

func TestFailed(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	var log expect.Log
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := session(t, a)
	k := a.publish(t, s, "me")
	term := newLeaderTerm(newController(a), k)
	term.c.failures = 2 // of other steps
	released := 0
	release := func() { released++ }
	expect.OK(t, term.failed(t.Context(), takeover.NotNeeded(k.View), release, takeover.ErrYielded))
	if err := term.failed(t.Context(), nil, release, lock.ErrNotHolder); !errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("got %v", err)
	}
	expect.Equal(t, "ended early", released, 0)
	failed := errors.New("redis refuses")
	if err := term.failed(t.Context(), nil, release, failed); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	expect.Equal(t, "ended", released, 1)
	_ = term.failed(t.Context(), nil, release, failed)
	expect.Equal(t, "logged", strings.Count(log.String(), "event=promotion_failed"), 1)
	v, err := a.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "free", v.Free(), true)
	expect.Equal(t, "why", v.State.Why, cluster.WhyFailed)
	if _, err := term.readWonLock(t.Context()); !errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("got %v", err)
	}
}

// A term that continues is no promotion.
func TestLeaderTerm_Begin(t *testing.T) {
	t.Parallel()
	a, _ := onServers(t)
	var log expect.Log
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	before := a.publish(t, session(t, a), "me")
	for _, tt := range []struct{ published, resumed, promoted int }{{1, 1, 0}, {2, 0, 1}} {
		log.Reset()
		a.known.Update(func(k *known.Snapshot) { k.HasLed = false })
		term := newLeaderTerm(newController(a), before)
		v := before.View
		v.State.Master = master("me", before.Health.Status.RunID, uint64(tt.published))
		term.begin(before, v, time.Now(), takeover.NewTimeline())
		expect.Equal(t, "resumed", strings.Count(log.String(), "event=term_resumed"), tt.resumed)
		expect.Equal(t, "promoted", strings.Count(log.String(), "event=promoted"), tt.promoted)
		expect.Equal(t, "term", term.term.Number, uint64(tt.published))
		expect.Equal(t, "highest term", term.c.contender.HighestTerm, uint64(tt.published))
		expect.Equal(t, "instance", term.term.RunID, before.Health.Status.RunID)
		expect.Equal(t, "session", term.term.Session, before.SessionID)
		expect.Equal(t, "it has led", a.known.Load().HasLed, true)
	}
}
