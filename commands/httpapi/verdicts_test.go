package httpapi

import (
	"math"
	"testing"

	"resec/commands/report"
	"resec/handlers/redis"
)

// linked returns the report of a healthy replica that is 100 bytes behind, changed.
func linked(change ...func(*report.Report)) report.Report {
	behind := int64(100)
	r := report.Report{Term: 4, Master: "a", Follows: true, Behind: &behind}
	r.Redis = redis.Status{RunID: "run-me", MasterAddr: "10.0.0.1:6379", LinkUp: true}
	for _, f := range change {
		f(&r)
	}
	return r
}

// leader returns the report of a healthy master, changed.
func leader(change ...func(*report.Report)) report.Report {
	r := report.Report{Term: 4, Master: "me", Holds: true, Published: true, Redis: redis.Status{RunID: "run-me", Master: true}}
	for _, f := range change {
		f(&r)
	}
	return r
}

var diskFull = []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}

func TestVerdicts(t *testing.T) {
	const is = "redis is a replica of 10.0.0.1:6379"
	type r = report.Report
	for _, tt := range []struct {
		name                    string
		r                       report.Report
		health, master, replica string // "200", or the text of a 503; "same": as health
	}{
		{"a master", leader(), "200", "200", "redis is a master"},
		{"a master whose agent is shutting down", leader(func(r *r) { r.Leaving = true }), "200", "200", "redis is a master"},
		{"a master that lost the lock", leader(func(r *r) { r.Holds = false }),
			"redis is a master, but this member does not hold the lock", "same", "redis is a master"},
		{"a master that is not published", leader(func(r *r) { r.Published = false }),
			"redis is a master, but not the published one", "same", "redis is a master"},
		{"a fenced master", leader(func(r *r) { r.Redis.MinReplicas = math.MaxInt32 }),
			"the master is fenced: it refuses writes", "same", "redis is a master"},
		{"a master that its guard has closed", leader(func(r *r) { r.Redis.MinReplicas, r.Redis.MaxLag = 1, 5 }),
			"the master refuses writes: too few replicas are attached (min-replicas-to-write)", "same", "redis is a master"},
		{"a master with enough replicas", leader(func(r *r) {
			r.Redis.MinReplicas, r.Redis.MaxLag, r.Redis.Replicas = 1, 5, []redis.Replica{{Online: true, Lag: 5}}
		}), "200", "200", "redis is a master"},
		{"a master that cannot save its data", leader(func(r *r) { r.Redis.Refusals = diskFull }),
			"the master refuses writes: its disk is full", "same", "redis is a master"},
		{"a replica that could not save its data as the master", linked(func(r *r) { r.Redis.Refusals = diskFull }),
			"as a master redis would refuse writes: its disk is full", is, "200"},
		{"a replica", linked(), "200", is, "200"},
		{"a replica whose agent is shutting down", linked(func(r *r) { r.Leaving = true }), "the agent is shutting down", is, "same"},
		{"a replica without a published master", linked(func(r *r) { r.Master = "" }), "no master is published", is, "same"},
		{"a replica of another master", linked(func(r *r) { r.Follows = false }),
			"redis follows 10.0.0.1:6379, which is not the published master", is, "same"},
		{"a parked replica", linked(func(r *r) { r.Follows, r.Redis.MasterAddr = false, redis.Sink }),
			"redis is parked: it waits for a master", "redis is a replica of " + redis.Sink, "same"},
		{"a replica in a sync", linked(func(r *r) { r.Redis.Syncing, r.Redis.LinkUp = true, false }),
			"redis is syncing from 10.0.0.1:6379", is, "same"},
		{"a replica whose link is down", linked(func(r *r) { r.Redis.LinkUp = false }),
			"the link to 10.0.0.1:6379 is down", is, "same"},
		{"a replica whose data are not the master's", linked(func(r *r) { r.Differs = "it answered with errors" }),
			"it answered with errors", is, "same"},
		{"a replica that has not caught up", linked(func(r *r) { r.Lacks = "it has not caught up" }),
			"redis is not recorded as in sync with the master: it has not caught up", is, "200"},
		{"a replica whose master does not answer", linked(func(r *r) { r.Behind = nil }), "the master a does not answer", is, "200"},
		{"a replica that is down", linked(func(r *r) { r.Why = "redis is down" }), "redis is down", "redis is down", "same"},
		{"a master that is down", leader(func(r *r) { r.Why = "redis is down" }), "redis is down", "redis is down", "same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(path string, got verdict, want string) {
				if want == "same" {
					want = tt.health
				}
				if got.ok != (want == "200") || !got.ok && got.text != want {
					t.Errorf("%s: %t %q, want %q", path, got.ok, got.text, want)
				}
			}
			check("/health", health(tt.r), tt.health)
			check("/master", master(tt.r), tt.master)
			check("/replica", replica(tt.r, noLimit), tt.replica)
			if got := gauges(tt.r).Healthy; got != (tt.health == "200") {
				t.Errorf("resec_healthy: %t", got)
			}
		})
	}
}

func TestReplica_MaxLagBytes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		r      report.Report
		maxLag int64
		want   verdict
	}{
		{"at the limit", linked(), 100, verdict{true, "replica of a, 100 bytes behind"}},
		{"behind the limit", linked(), 99, unavailable("redis is 100 bytes behind the master")},
		{"a limit of 0", linked(), 0, unavailable("redis is 100 bytes behind the master")},
		{"in sync", linked(func(r *report.Report) { r.Behind = new(int64) }), 0, verdict{true, "replica of a, 0 bytes behind"}},
		{"unknown", linked(func(r *report.Report) { r.Behind = nil }), 1 << 40,
			unavailable("the replication lag is unknown: the master a did not answer")},
		{"unknown, and no limit", linked(func(r *report.Report) { r.Behind = nil }), noLimit, verdict{true, "replica of a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := replica(tt.r, tt.maxLag); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
