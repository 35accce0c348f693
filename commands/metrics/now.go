package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Now holds the gauges of a member at one moment.
type Now struct {
	Role    string        // of Redis: "master" or "replica"; anything else: unknown
	Healthy bool          // whether /health answers 200
	Term    uint64        // that is published; 0: none
	Lease   time.Duration // time that is left of it
	Offset  *int64        // bytes; nil: unknown
	Behind  *int64        // bytes that the master has and this Redis has not; nil: unknown

	Refusals       map[string]bool // by reason: whether Redis refuses writes for it, or would as the master; nil: unknown
	RefusesClients bool            // because of maxclients
}

var (
	role    = gauge("resec_role", "1 for the role that Redis reports, otherwise 0.", "role")
	healthy = gauge("resec_healthy", "1 if /health answers 200, otherwise 0.")
	term    = gauge("resec_term", "Term of the published master.")
	lease   = gauge("resec_lease_left_seconds", "Time for which this member may still rely on its Consul session; 0 without one.")
	offset  = gauge("resec_replication_offset_bytes", "Replication offset of Redis.")
	refuses = gauge("resec_redis_refuses_writes", "1 if Redis refuses writes for that reason, or would as the master, otherwise 0.",
		"reason")
	refusesClients = gauge("resec_redis_refuses_clients", "1 if Redis refuses new clients because of maxclients, otherwise 0.")
	behind         = gauge("resec_replication_behind_bytes", "Bytes that Redis is behind the master; absent if unknown.")
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (Now) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{role, healthy, term, lease, offset, behind, refuses, refusesClients} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A gauge whose value is unknown is absent: a placeholder would be drawn as a value.
func (n Now) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	known := n.Role == "master" || n.Role == "replica"
	send(role, one(n.Role == "master"), "master")
	send(role, one(n.Role == "replica"), "replica")
	send(role, one(!known), "unknown")
	send(healthy, one(n.Healthy))
	if n.Term > 0 || known {
		send(term, float64(n.Term))
		send(lease, n.Lease.Seconds())
	}
	if n.Offset != nil {
		send(offset, float64(*n.Offset))
	}
	if n.Behind != nil {
		send(behind, float64(*n.Behind))
	}
	for reason, is := range n.Refusals {
		send(refuses, one(is), reason)
	}
	if known {
		send(refusesClients, one(n.RefusesClients))
	}
}

// one returns 1 for true and 0 for false.
func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
