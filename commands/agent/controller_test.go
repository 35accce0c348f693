package agent

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/contend"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
)

func TestController_Count(t *testing.T) {
	failed := errors.New("failed")
	for _, tt := range []struct {
		todo cluster.Action
		err  error
		want int
	}{
		{cluster.Follow, failed, 3}, {cluster.Contend, failed, 3}, {cluster.Follow, nil, 0}, {cluster.Lead, nil, 0},
		{cluster.Park, nil, 0},
		{cluster.Wait, nil, 2}, {cluster.Ineligible, nil, 2}, {cluster.Contend, nil, 2}, {cluster.Preempt, nil, 2}, {cluster.Preempt, failed, 3},
	} {
		c := &controller{failures: 2}
		c.count(tt.todo, outcome{err: tt.err})
		expect.Equal(t, fmt.Sprint(tt.todo, tt.err), c.failures, tt.want)
	}
}

// A term that won the lock by contending and is over without an error is a success.
func TestController_CountOfATermThatWasWon(t *testing.T) {
	c := &controller{failures: 2}
	c.count(cluster.Contend, outcome{ranTerm: true, err: errors.New("failed")})
	expect.Equal(t, "after one that failed", c.failures, 3)
	c.count(cluster.Contend, outcome{ranTerm: true})
	expect.Equal(t, "after one that did not", c.failures, 0)
}

func TestController_Begin(t *testing.T) {
	c := newController(bareAgent())
	c.failures, c.failedTerm = 3, 4
	c.begin(situation(clustertest.LockFree), cluster.Follow)
	expect.Equal(t, "failures in the same term", c.failures, 3)
	if c.contender.Leaderless.Since.IsZero() {
		t.Error("the lock is free, and the leaderless period has not begun")
	}
	c.begin(leading(), cluster.Lead)
	expect.Equal(t, "failures in another term", c.failures, 0)
	expect.Equal(t, "the term", c.failedTerm, 5)
}

// After an error only a change in Consul, or a pause that doubles, leads to the next step.
func TestController_WaitForNext(t *testing.T) {
	failed := errors.New("failed")
	redisChanged := func(k *known.Snapshot) { k.Health.Status.Position.Offset++ }
	for _, tt := range []struct {
		name     string
		again    time.Duration
		err      error
		failures int
		change   func(*known.Snapshot)
		want     time.Duration
	}{
		{"a change", 0, nil, 0, redisChanged, time.Hour},
		{"again", time.Minute, nil, 0, redisChanged, time.Minute},
		{"the first failure", 0, failed, 1, redisChanged, minStepRetry},
		{"the second", time.Nanosecond, failed, 2, redisChanged, 2 * minStepRetry},
		{"the fifth", 0, failed, 5, redisChanged, maxStepRetry},
		{"the hundredth", 0, failed, 100, redisChanged, maxStepRetry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newController(bareAgent())
				c.failures = tt.failures
				c.a.known.Update(func(k *known.Snapshot) { *k = situation() })
				k, changed := c.a.known.Watch()
				began := time.Now()
				if tt.err != nil {
					go func() { <-time.After(minStepRetry / 2); c.a.known.Update(tt.change) }()
				}
				go func() { <-time.After(time.Hour); c.a.known.Update(tt.change) }()
				expect.Equal(t, "another step", c.waitForNext(t.Context(), k, changed, outcome{again: tt.again, err: tt.err}), true)
				expect.Equal(t, "after", time.Since(began), tt.want)
				<-time.After(2 * time.Hour)
			})
		})
	}
}

func TestController_WaitForNextAfterAnError(t *testing.T) {
	for name, change := range map[string]func(*known.Snapshot){
		"the lock has changed": func(k *known.Snapshot) { k.View.LockIndex++ },
		"our session is new":   func(k *known.Snapshot) { k.Session = &lock.Session{ID: "new"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newController(bareAgent())
				c.failures = 1
				c.a.known.Update(func(k *known.Snapshot) { *k = situation() })
				k, changed := c.a.known.Watch()
				began := time.Now()
				go func() { <-time.After(time.Millisecond); c.a.known.Update(change) }()
				expect.Equal(t, "another step", c.waitForNext(t.Context(), k, changed, outcome{err: errors.New("failed")}), true)
				expect.Equal(t, "after", time.Since(began), time.Millisecond)
			})
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	c := newController(bareAgent())
	k, changed := c.a.known.Watch()
	expect.Equal(t, "a step after the end", c.waitForNext(ended, k, changed, outcome{}), false)
}

func TestController_IsNew(t *testing.T) {
	c := newController(bareAgent())
	for _, tt := range []struct {
		step string
		err  error
		want bool
	}{
		{"park", errors.New("a"), true}, {"park", errors.New("a"), false}, {"acquire", errors.New("a"), true},
		{"acquire", lock.ErrDenied, true},
		{"acquire", lock.ErrDenied, false},
	} {
		expect.Equal(t, fmt.Sprint(tt.step, tt.err), c.isNew(tt.step, tt.err), tt.want)
	}
}

func TestSetReason(t *testing.T) {
	a := bareAgent()
	_, changed := a.known.Watch()
	a.setReason("")
	select {
	case <-changed:
		t.Error("the same reason is no news")
	default:
	}
	a.setReason("it waits")
	expect.Equal(t, "reason", a.known.Load().Reason, "it waits")
	a.setReason("")
	expect.Equal(t, "reason", a.known.Load().Reason, "")
}

// While a state of a newer version cannot be read, that is the reason that check and status show.
func TestController_ReasonUnderANewerState(t *testing.T) {
	t.Parallel()
	a, _ := withRedis(t)
	a.known.Update(func(k *known.Snapshot) { k.Reason = "redis is a master that was not elected" })
	c := newController(a)
	k := situation(func(k *cluster.Snapshot) { k.View.Err = cluster.ErrNewerVersion })
	c.execute(t.Context(), k, cluster.Wait, "the state is newer")
	expect.Equal(t, "reason", a.known.Load().Reason, "the state is newer")
	c.execute(t.Context(), situation(), cluster.Wait, "following a")
	expect.Equal(t, "reason", a.known.Load().Reason, "the state is newer")
}

// A lock that was not won, or won too late, is not led with.
func TestController_ContendWithoutTheLock(t *testing.T) {
	failed := errors.New("failed")
	over, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		won  *contend.Won
		err  error
		want outcome
	}{
		{"it is not our turn", t.Context(), nil, nil, outcome{again: time.Minute}},
		{"the call has failed", t.Context(), nil, failed, outcome{again: time.Minute, err: failed}},
		{"the agent is asked to stop meanwhile", over, &contend.Won{}, nil, outcome{again: time.Minute}},
		{"a pause has begun meanwhile", t.Context(), &contend.Won{}, nil, outcome{again: immediately}},
	} {
		a := bareAgent()
		a.known.Update(func(k *known.Snapshot) {
			*k = situation(func(k *cluster.Snapshot) {
				k.Paused, k.View.Pause = true, &cluster.Pause{Until: time.Now().Add(time.Hour)}
			})
		})
		try := func(context.Context, known.Snapshot) (*contend.Won, time.Duration, error) {
			return tt.won, time.Minute, tt.err
		}
		expect.Equal(t, tt.name, newController(a).contend(tt.ctx, situation(clustertest.LockFree), try), tt.want)
	}
}
