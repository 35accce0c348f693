package takeover

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
)

func TestMastershipChange(t *testing.T) {
	began := time.Now()
	steps := []cluster.Step{{Name: "peers_parked", At: time.Millisecond}, {Name: "writes_enabled", At: 5 * time.Millisecond}}
	drained := []cluster.Step{{Name: "paused", At: 2 * time.Millisecond}, {Name: "writes_enabled", At: 9 * time.Millisecond}}
	after := clustertest.Leading().View
	failed := func(f cluster.MasterFailure) func(*cluster.Snapshot) {
		return func(k *cluster.Snapshot) { k.Failure = f }
	}
	for _, tt := range []struct {
		name   string
		before cluster.Snapshot
		since  time.Time
		steps  []cluster.Step
		moved  bool
		cause  string
		outage time.Duration
	}{
		{"since the lock is free", clustertest.Situation(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyDead }), began.Add(-time.Second),
			steps, true, "dead", time.Second + 5*time.Millisecond},
		{"since it was transferred", clustertest.Situation(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyLeaving }), time.Time{},
			drained, true, "leaving", 7 * time.Millisecond},
		{"while the old master continues", clustertest.Situation(), began.Add(-time.Second), drained, true, "the lock was lost",
			7 * time.Millisecond},
		{"while the old master is down", clustertest.Situation(failed(cluster.MasterFailure{RunID: "run-a", Down: true})), began.Add(-time.Second), drained, true,
			"the lock was lost, and redis was down", 7 * time.Millisecond},
		{"while it does not answer", clustertest.Situation(failed(cluster.MasterFailure{RunID: "run-a", Unreachable: true})), began.Add(-time.Second), drained, true,
			"the lock was lost, and redis did not answer", 7 * time.Millisecond},
		{"while another run was down", clustertest.Situation(failed(cluster.MasterFailure{RunID: "before", Down: true})),
			began.Add(-time.Second), drained, true, "the lock was lost", 7 * time.Millisecond},
		{"by a switchover", clustertest.Situation(clustertest.Requested("me"),
			func(k *cluster.Snapshot) { k.View.Request.Planned, k.View.Request.Accepted = true, true }), time.Time{}, drained, true,
			"switchover", 7 * time.Millisecond},
		{"by force", clustertest.Situation(clustertest.Requested("me")), time.Time{}, drained, true, "failover by force", 7 * time.Millisecond},
		{"without a master before", clustertest.Situation(clustertest.NoState), began, steps, true, "the first master", 0},
		{"from itself", clustertest.Leading(), began, steps, false, "the lock was lost", 5 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, moved := MastershipChange(tt.before, after, tt.since, began, began.Add(time.Second), tt.steps)
			if moved != tt.moved || c.Cause != tt.cause || c.Outage != tt.outage || c.To != "me" || c.Term != 5 ||
				c.At.Sub(began.Add(time.Second)).Abs() > time.Millisecond {
				t.Errorf("got %+v, %t", c, moved)
			}
		})
	}
}

func TestOperatorWish(t *testing.T) {
	planned, forced := &cluster.Request{To: "me", Session: "o", Planned: true, Accepted: true},
		&cluster.Request{To: "me", Session: "o"}
	expect.Equal(t, "none", OperatorWish(nil, "me"), Operator{})
	expect.Equal(t, "another member", OperatorWish(forced, "b"), Operator{})
	expect.Equal(t, "a switchover", OperatorWish(planned, "me"), Operator{Switchover: planned})
	expect.Equal(t, "one that is not accepted", OperatorWish(&cluster.Request{To: "me", Session: "o", Planned: true}, "me"),
		Operator{})
	expect.Equal(t, "by force", OperatorWish(forced, "me"), Operator{ForcedFailover: forced})
}
