package report

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/handlers/redis"
)

func inSync(k *cluster.Snapshot) {
	k.View.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a", InSyncTerm: 4},
		"me": {RunID: "run-me", InSyncTerm: 4}}
}

func streamErrors(k *cluster.Snapshot) { k.StreamErrors.Count = 2 }

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
		{"a replica that was seen in sync", knowntest.Situation(inSync), nil, theirs(), replica},
		{"one whose master does not answer", knowntest.Situation(inSync), nil, nil, with(replica, func(r *Report) { r.Behind = nil })},
		{"one at whose master's address another instance answers", knowntest.Situation(inSync), nil,
			theirs(func(s *redis.Status) { s.RunID = "run-z" }), with(replica, func(r *Report) { r.Behind = nil })},
		{"one whose master is none any more", knowntest.Situation(inSync), nil, theirs(func(s *redis.Status) { s.Master = false }),
			with(replica, func(r *Report) { r.Behind = nil })},
		{"one whose offset does not compare", knowntest.Situation(inSync), nil, theirs(func(s *redis.Status) { s.Position.ReplID = "z" }),
			with(replica, func(r *Report) { r.Behind = nil })},
		{"one that is ahead by what came between the looks", knowntest.Situation(inSync), nil,
			theirs(func(s *redis.Status) { s.Position.Offset = 1 }), with(replica, func(r *Report) { r.Behind = new(int64) })},
		{"one that was not seen in sync in this term", knowntest.Situation(), nil, theirs(), with(replica, func(r *Report) { r.Lacks = unseen })},
		{"one that is not recorded", knowntest.Situation(clustertest.NotRecorded), nil, theirs(),
			with(replica, func(r *Report) { r.Lacks = "it is not recorded: no master of this cluster has seen it" })},
		{"one that was restarted", knowntest.Situation(inSync, clustertest.RestartedRedis), nil, theirs(),
			with(replica, func(r *Report) { r.Lacks = "it was restarted since it was recorded" })},
		{"one that is parked", knowntest.Situation(inSync, clustertest.ParkedRedis), nil, theirs(),
			with(replica, func(r *Report) { r.Follows = false })},
		{"one of a cluster without a state", knowntest.Situation(clustertest.NoState), nil, nil, Report{}},
		{"a master under its lock", knowntest.Situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn), nil,
			nil, with(master, func(r *Report) { r.Lacks = unseen })},
		{"one that has lost the lock", knowntest.Situation(inSync, clustertest.LockFree, clustertest.Promoted, clustertest.PublishedOwn), nil,
			nil, with(master, func(r *Report) { r.Holds, r.Lacks = false, unseen })},
		{"one that is about to take it again",
			knowntest.Situation(inSync, clustertest.LockFree, clustertest.Promoted, clustertest.PublishedOwn,
				func(k *cluster.Snapshot) { k.HasLed = true }), nil, nil, with(master, func(r *Report) { r.Lacks = unseen })},
		{"one that has lost its session", knowntest.Situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn,
			clustertest.WithoutSession), nil, nil, with(master, func(r *Report) { r.Holds, r.Lacks = false, unseen })},
		{"one that holds the lock and is not published yet", knowntest.Situation(inSync, clustertest.HoldingLock, clustertest.Promoted), nil,
			theirs(), Report{Term: 4, Master: "a", Holds: true}},
		{"a master that was restarted", knowntest.Situation(inSync, clustertest.HoldingLock, clustertest.Promoted, clustertest.PublishedOwn,
			clustertest.RestartedRedis), nil, nil,
			with(master, func(r *Report) { r.Published, r.Lacks = false, "it was restarted since it was recorded" })},
		{"a replica that answered its stream with errors", knowntest.Situation(inSync, streamErrors), nil, theirs(),
			with(replica, func(r *Report) { r.Differs = cluster.StreamErrorsReason(2) })},
		{"a master that once did", knowntest.Situation(inSync, streamErrors, clustertest.HoldingLock, clustertest.Promoted,
			clustertest.PublishedOwn), nil, nil, with(master, func(r *Report) { r.Lacks = unseen })},
		{"a redis that is down", knowntest.Situation(inSync), fmt.Errorf("dial: %w", syscall.ECONNREFUSED), theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: it refuses connections" })},
		{"one that says nothing", knowntest.Situation(inSync), errors.New("timeout"), theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: it does not answer" })},
		{"one that loads", knowntest.Situation(inSync, func(k *cluster.Snapshot) { k.Health.Status.Loading = true }), nil, theirs(),
			with(replica, func(r *Report) { r.Why = "redis is unusable: redis is loading its data set" })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := New(tt.k, "me", tt.k.Health.Status, tt.err, tt.master, time.Now())
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Report{}, "Redis")); d != "" {
				t.Error(d)
			}
		})
	}
}
