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
}

var (
	role    = prometheus.NewDesc("resec_role", "1 for the role that Redis reports, otherwise 0.", []string{"role"}, nil)
	healthy = prometheus.NewDesc("resec_healthy", "1 if /health answers 200, otherwise 0.", nil, nil)
	term    = prometheus.NewDesc("resec_term", "Term of the published master.", nil, nil)
	lease   = prometheus.NewDesc("resec_lease_left_seconds", "Time for which this member may still rely on its Consul session; 0 without a session.", nil, nil)
	offset  = prometheus.NewDesc("resec_replication_offset_bytes", "Replication offset of Redis.", nil, nil)
	behind  = prometheus.NewDesc("resec_replication_behind_bytes", "Bytes by which the replication offset is behind the master's; absent if unknown.", nil, nil)
)

// Describe implements prometheus.Collector.
func (Now) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{role, healthy, term, lease, offset, behind} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A gauge whose value is unknown is absent: a placeholder would be drawn as a value.
func (n Now) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	known := n.Role == "master" || n.Role == "replica"
	gauge(role, one(n.Role == "master"), "master")
	gauge(role, one(n.Role == "replica"), "replica")
	gauge(role, one(!known), "unknown")
	gauge(healthy, one(n.Healthy))
	if n.Term > 0 || known {
		gauge(term, float64(n.Term))
		gauge(lease, n.Lease.Seconds())
	}
	if n.Offset != nil {
		gauge(offset, float64(*n.Offset))
	}
	if n.Behind != nil {
		gauge(behind, float64(*n.Behind))
	}
}

// one returns 1 for true and 0 for false.
func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
