package agent

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/handlers/redis"
)

func inSync(k *cluster.Snapshot) {
	k.View.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a", InSyncTerm: 4},
		"me": {RunID: "run-me", InSyncTerm: 4}}
}

func TestReport(t *testing.T) {
	five := int64(5)
	theirs := func(change ...func(*redis.Status)) *redis.Status {
		st := redis.Status{RunID: "run-a", Master: true, Position: redis.Position{ReplID: "l", Offset: 14}}
		for _, f := range change {
			f(&st)
		}
		return &st
	}
	replica := Report{Term: 4, Master: "a", Follows: true, Behind: &five}
	master := Report{Term: 5, Master: "me", Holds: true, Published: true}
	with := func(r Report, change func(*Report)) Report { change(&r); return r }
	unseen := "it was not seen in sync with the master of this term yet"
	for _, tt := range []struct {
		name   string
		k      known.Snapshot
		err    error
		master *redis.Status
		want   Report
	}{
		{"a replica that was seen in sync", situation(inSync), nil, theirs(), replica},
		{"one whose master does not answer", situation(inSync), nil, nil, with(replica, func(r *Report) { r.Behind = nil })},
		{"one at whose master's address another instance answers", situation(inSync), nil,
			theirs(func(s *redis.Status) { s.RunID = "run-z" }), with(replica, func(r *Report) { r.Behind = nil })},
		{"one whose master is none any more", situation(inSync), nil, theirs(func(s *redis.Status) { s.Master = false }),
			with(replica, func(r *Report) { r.Behind = nil })},
		{"one whose offset does not compare", situation(inSync), nil, theirs(func(s *redis.Status) { s.Position.ReplID = "z" }),
			with(replica, func(r *Report) { r.Behind = nil })},
		{"one that is ahead by what came between the looks", situation(inSync), nil,
			theirs(func(s *redis.Status) { s.Position.Offset = 1 }), with(replica, func(r *Report) { r.Behind = new(int64) })},
		{"one that was not seen in sync in this term", situation(), nil, theirs(), with(replica, func(r *Report) { r.Lacks = unseen })},
		{"one that is not recorded", situation(clustertest.NotRecorded), nil, theirs(),
			with(replica, func(r *Report) { r.Lacks = "it is not recorded: no master of this cluster has seen it" })},
		{"one that was restarted", situation(inSync, clustertest.RestartedRedis), nil, theirs(),
			with(replica, func(r *Report) { r.Lacks = "it was restarted since it was recorded" })},
		{"one that is parked", situation(inSync, clustertest.ParkedRedis), nil, theirs(),
			with(replica, func(r *Report) { r.Follows = false })},
		{"one of a cluster without a state", situation(clustertest.NoState), nil, nil, Report{}},
		{"a master under its lock", situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn), nil,
			nil, with(master, func(r *Report) { r.Lacks = unseen })},
		{"one that has lost the lock", situation(inSync, clustertest.LockFree, clustertest.Promoted, clustertest.PublishedOwn), nil,
			nil, with(master, func(r *Report) { r.Holds, r.Lacks = false, unseen })},
		{"one that is about to take it again",
			situation(inSync, clustertest.LockFree, clustertest.Promoted, clustertest.PublishedOwn,
				func(k *cluster.Snapshot) { k.HasLed = true }), nil, nil, with(master, func(r *Report) { r.Lacks = unseen })},
		{"one that has lost its session", situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn,
			clustertest.WithoutSession), nil, nil, with(master, func(r *Report) { r.Holds, r.Lacks = false, unseen })},
		{"one that holds the lock and is not published yet", situation(inSync, clustertest.HoldingLock, clustertest.Promoted), nil,
			theirs(), Report{Term: 4, Master: "a", Holds: true}},
		{"a master that was restarted", situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn,
			clustertest.RestartedRedis), nil, nil,
			with(master, func(r *Report) { r.Published, r.Lacks = false, "it was restarted since it was recorded" })},
		{"a redis that is down", situation(inSync), fmt.Errorf("dial: %w", syscall.ECONNREFUSED), theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: it refuses connections" })},
		{"one that says nothing", situation(inSync), errors.New("timeout"), theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: it does not answer" })},
		{"one that loads", situation(inSync, func(k *cluster.Snapshot) { k.Health.Status.Loading = true }), nil, theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: redis is loading its data set" })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := report(tt.k, "me", tt.k.Health.Status, tt.err, tt.master, time.Now())
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Report{}, "Redis")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReport_BeforeTheAgentIsReady(t *testing.T) {
	if got := new(Agent).Report(context.Background(), true); got.Why != notReady {
		t.Error(got)
	}
}

// A report waits for a Redis that hangs no longer than a probe does.
func TestReport_OfARedisThatHangs(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	a.Probe.Timeout = 50 * time.Millisecond
	a.leads(t, 1)
	a.ready.Store(true)
	expect.Equal(t, "it answers", a.Report(t.Context(), true).Why, "")
	expect.Equal(t, "it leaves", a.Report(t.Context(), false).Leaving, false)
	a.shutdown.request()
	expect.Equal(t, "it leaves", a.Report(t.Context(), false).Leaving, true)
	r.Freeze()
	defer r.Thaw()
	began := time.Now()
	expect.Equal(t, "it hangs", a.Report(t.Context(), false).Why != "", true)
	if took := time.Since(began); took >= reportTimeout {
		t.Errorf("took %s", took)
	}
}
