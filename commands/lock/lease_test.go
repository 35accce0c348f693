package lock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLease_EndsWithTheSoonestOfItsClocks(t *testing.T) {
	now := time.Now()
	var session, check RenewalDeadline
	l := Lease{&session, &check}
	left := func(what string, want time.Duration) {
		t.Helper()
		if got := l.Left(now); got != want {
			t.Errorf("%s: %s left, want %s", what, got, want)
		}
	}
	if (Lease{}).Left(now) != 0 {
		t.Error("a lease without a clock lasts")
	}
	left("before the first renewal", 0)
	session.Extend(now.Add(-time.Second), 15*time.Second)
	left("as long as one of its clocks has never begun", 0)
	check.Extend(now.Add(-4*time.Second), 10*time.Second)
	left("the check's, which is sooner", 6*time.Second)
	check.Extend(now, 20*time.Second)
	left("the session's, which is sooner now", 14*time.Second)
	now = now.Add(14 * time.Second)
	left("at the end", 0)
	now = now.Add(time.Hour)
	left("after the end", 0)
}

func TestLease_ContextEndsWithTheLeaseAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c RenewalDeadline
		c.Extend(time.Now(), 10*time.Second)
		ctx, stop := Lease{&c}.Context(t.Context())
		defer stop()
		time.AfterFunc(9*time.Second, func() { c.Extend(time.Now(), 10*time.Second) })
		began := time.Now()
		<-ctx.Done()
		if d := time.Since(began); d != 19*time.Second || context.Cause(ctx) != ErrLease {
			t.Errorf("it ended after %s, by %v", d, context.Cause(ctx))
		}
	})
}
