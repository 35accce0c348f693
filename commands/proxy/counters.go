package proxy

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters count what one server does.
type counters struct {
	accepted, refused, held, cut atomic.Int64
	bytes                        atomic.Int64 // of the connections that have ended
	open, waiting                atomic.Int64 // now
}

// The metrics of a proxy. Each has the port that clients connect to, write or read.
var (
	open     = metric("resec_proxy_connections", "Clients that are connected to a Redis now.")
	waiting  = metric("resec_proxy_waiting", "Clients that wait for a Redis now.")
	accepted = metric("resec_proxy_connections_total", "Clients that were accepted.")
	refused  = metric("resec_proxy_refused_total", "Clients that were refused: too many, or no Redis in time.")
	held     = metric("resec_proxy_held_total", "Clients that had to wait for a Redis.")
	cut      = metric("resec_proxy_cut_total", "Clients that were disconnected by a change of master.")
	passed   = metric("resec_proxy_bytes_total", "Bytes that were passed on, both ways.")
)

func metric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"port"}, nil)
}

// collect sends the metrics of now.
func (s *Server) collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v int64) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(v), s.Port)
	}
	c := &s.counters
	send(open, prometheus.GaugeValue, c.open.Load())
	send(waiting, prometheus.GaugeValue, c.waiting.Load())
	send(accepted, prometheus.CounterValue, c.accepted.Load())
	send(refused, prometheus.CounterValue, c.refused.Load())
	send(held, prometheus.CounterValue, c.held.Load())
	send(cut, prometheus.CounterValue, c.cut.Load())
	send(passed, prometheus.CounterValue, s.bytes())
}

// bytes are those that were passed on until now.
func (s *Server) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counters.bytes.Load()
	for l := range s.links {
		n += l.bytes()
	}
	return n
}
