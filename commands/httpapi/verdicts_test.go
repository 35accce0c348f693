package httpapi

import (
	"math"
	"testing"

	"resec/commands/agent"
	"resec/handlers/redis"
)

// linked is the report of a replica that is as it should be, changed.
func linked(change ...func(*agent.Report)) agent.Report {
	behind := int64(100)
	r := agent.Report{Term: 4, Master: "a", Follows: true, Behind: &behind, Redis: redis.Status{RunID: "run-me", MasterAddr: "10.0.0.1:6379", LinkUp: true}}
	for _, f := range change {
		f(&r)
	}
	return r
}

// leader is that of a master that is as it should be, changed.
func leader(change ...func(*agent.Report)) agent.Report {
	r := agent.Report{Term: 4, Master: "me", Holds: true, Published: true, Redis: redis.Status{RunID: "run-me", Master: true}}
	for _, f := range change {
		f(&r)
	}
	return r
}

func TestAnswers(t *testing.T) {
	const is = "redis is a replica of 10.0.0.1:6379"
	type r = agent.Report
	for _, tt := range []struct {
		name                    string
		r                       agent.Report
		health, master, replica string // why 503; "200": it is not
	}{
		{"a master", leader(), "200", "200", "redis is a master"},
		{"one that leaves, and leads still", leader(func(r *r) { r.Leaving = true }), "200", "200", "redis is a master"},
		{"one that lost the lock", leader(func(r *r) { r.Holds = false }), "redis is a master, and this member does not hold the lock", "same", "redis is a master"},
		{"one that is not published", leader(func(r *r) { r.Published = false }), "redis is a master, and not the published one", "same", "redis is a master"},
		{"one that is fenced", leader(func(r *r) { r.Redis.MinReplicas = math.MaxInt32 }), "the master is fenced: it refuses writes", "same", "redis is a master"},
		{"one that its guard has closed", leader(func(r *r) { r.Redis.MinReplicas, r.Redis.MaxLag = 1, 5 }), "the master refuses writes for want of replicas", "same", "redis is a master"},
		{"one whose replicas are there", leader(func(r *r) {
			r.Redis.MinReplicas, r.Redis.MaxLag, r.Redis.Replicas = 1, 5, []redis.Replica{{Online: true, Lag: 5}}
		}), "200", "200", "redis is a master"},
		{"a replica", linked(), "200", is, "200"},
		{"one that leaves", linked(func(r *r) { r.Leaving = true }), "the agent leaves", is, "same"},
		{"one of a cluster without a master", linked(func(r *r) { r.Master = "" }), "no master is published", is, "same"},
		{"one that follows another", linked(func(r *r) { r.Follows = false }), "redis follows 10.0.0.1:6379, which is not the published master", is, "same"},
		{"one that is parked", linked(func(r *r) { r.Follows, r.Redis.MasterAddr = false, redis.Sink }), "redis is parked: it waits for a master", "redis is a replica of " + redis.Sink, "same"},
		{"one that syncs", linked(func(r *r) { r.Redis.Syncing, r.Redis.LinkUp = true, false }), "redis is syncing from 10.0.0.1:6379", is, "same"},
		{"one whose link is down", linked(func(r *r) { r.Redis.LinkUp = false }), "the link to 10.0.0.1:6379 is down", is, "same"},
		{"one that has not caught up", linked(func(r *r) { r.Lacks = "it has not caught up" }), "redis is not recorded as level with the master: it has not caught up", is, "200"},
		{"one whose master says nothing", linked(func(r *r) { r.Behind = nil }), "the master a does not answer", is, "200"},
		{"one whose redis is gone", linked(func(r *r) { r.Why = "redis is gone" }), "redis is gone", "redis is gone", "same"},
		{"a master whose redis is gone", leader(func(r *r) { r.Why = "redis is gone" }), "redis is gone", "redis is gone", "same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(path string, got answer, want string) {
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
			if got := now(tt.r).Healthy; got != (tt.health == "200") {
				t.Errorf("resec_healthy: %t", got)
			}
		})
	}
}

func TestAnswers_MaxLagBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    agent.Report
		most int64
		want answer
	}{
		{"just so far", linked(), 100, answer{true, "replica of a, 100 bytes behind"}},
		{"farther", linked(), 99, unavailable("redis is 100 bytes behind the master")},
		{"level is asked for", linked(), 0, unavailable("redis is 100 bytes behind the master")},
		{"level", linked(func(r *agent.Report) { r.Behind = new(int64) }), 0, answer{true, "replica of a, 0 bytes behind"}},
		{"unknown", linked(func(r *agent.Report) { r.Behind = nil }), 1 << 40, unavailable("how far redis is behind is not known: the master a did not say")},
		{"unknown, and not asked for", linked(func(r *agent.Report) { r.Behind = nil }), noLimit, answer{true, "replica of a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := replica(tt.r, tt.most); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
