package lab_test

import (
	"context"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A writer knows each lost write, how long no write was acknowledged, and why.
func TestWriter(t *testing.T) {
	t.Parallel()
	r := redis(t, "r", "--requirepass", "secret")
	w := lab.Writing{Find: func(context.Context) (string, error) { return r.Addr, nil }, Password: "secret", Pace: time.Millisecond}.Start(t.Context())
	lab.Eventually(t, 5*time.Second, func() error { return w.Wrote(100) })
	before := time.Now()
	refusedTimes := func(n int) time.Time {
		lab.Eventually(t, 5*time.Second, func() error {
			if w.Errors()["NOREPLICAS"] < n {
				return context.DeadlineExceeded
			}
			return nil
		})
		return time.Now()
	}
	do(t, r, "CONFIG", "SET", "min-replicas-to-write", "1") // a write may be acknowledged before it has an effect
	refused, after := refusedTimes(1), refusedTimes(50)
	do(t, r, "CONFIG", "SET", "min-replicas-to-write", "0")
	n := w.Acked()
	lab.Eventually(t, 5*time.Second, func() error { return w.Wrote(n + 1) })
	if g := w.Longest(); g.To.Before(after) || g.From.After(refused) || w.LongestGap() != g.Lasted() {
		t.Errorf("refused from %s to %s, the longest gap is %v", refused, after, g)
	}
	lost, err := w.LostOn(r)
	if err != nil || len(lost) != 0 {
		t.Fatalf("lost: %v %v", lost, err)
	}
	least := w.Acked()
	do(t, r, "FLUSHALL")
	n = w.Acked()
	lab.Eventually(t, 5*time.Second, func() error { return w.Wrote(n + 10) })
	w.Stop()
	lost, err = w.LostOn(r)
	if err != nil || len(lost) < least || len(lost) > n+1 || lost[0].N != 0 || lost[0].At.After(before) {
		t.Errorf("of %d writes before everything was flushed, %d are lost: %v", n, len(lost), err)
	}
	ok(t, w.Erase(r))
	if n, err := w.Lost(r.Addr); err != nil || n != w.Acked() {
		t.Errorf("after they were erased, %d of %d are lost: %v", n, w.Acked(), err)
	}
}
