package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Now is what is so at the moment of a look.
type Now struct {
	Role    string // master, replica; anything else: unknown
	Healthy bool
	Term    uint64
	Lease   time.Duration // that is left
	Offset  *int64        // nil: unknown; so is Behind
	Behind  *int64        // bytes that the master has and we have not
}

var (
	role    = prometheus.NewDesc("resec_role", "1 for the role that Redis says it has.", []string{"role"}, nil)
	healthy = prometheus.NewDesc("resec_healthy", "1 while /health answers 200.", nil, nil)
	term    = prometheus.NewDesc("resec_term", "The published term.", nil, nil)
	lease   = prometheus.NewDesc("resec_lease_left_seconds", "For how long this member may still act on its session.", nil, nil)
	offset  = prometheus.NewDesc("resec_replication_offset_bytes", "Where Redis stands in its replication history.", nil, nil)
	behind  = prometheus.NewDesc("resec_replication_behind_bytes", "What the master has of it, and this Redis has not; there is none where that is not known.", nil, nil)
)

// Describe tells what may be collected.
func (Now) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{role, healthy, term, lease, offset, behind} {
		out <- d
	}
}

// Collect tells what is so. What is not known is left out: a number that stands for nothing would be drawn as one.
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

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
