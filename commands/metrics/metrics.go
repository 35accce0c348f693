// Package metrics counts what a member does, for Prometheus. It starts no goroutine; every method may be called by any.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"resec/handlers"
)

// Metrics holds the counters of this process. Every method that counts may be called on a nil *Metrics, which counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	promotions, fences, parks, consulErrors, redisErrors prometheus.Counter
	hookFailures                                         *prometheus.CounterVec
	steps                                                *prometheus.HistogramVec
}

// stepBuckets are in seconds: a step of a takeover takes between a millisecond and the wait for an unreachable master.
var stepBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New returns counters that are zero.
func New() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		promotions: counter("resec_promotions_total", "Terms in which this member was published as master."),
		fences: counter("resec_fences_total",
			"Redis servers, this member's or another's, that were fenced: they refuse writes."),
		parks: counter("resec_parks_total",
			"Redis servers, this member's or another's, that were parked: detached from a master and read-only."),
		consulErrors: counter("resec_consul_errors_total", "Failed calls to Consul."),
		redisErrors:  counter("resec_redis_errors_total", "Failed commands to Redis servers, this member's or another's."),
		hookFailures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "resec_hook_failures_total",
			Help: "Failed runs of hooks, by the event that the hook runs on."}, []string{"hook"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resec_takeover_step_duration_seconds",
			Help: "Duration of each step of a takeover.", Buckets: stepBuckets}, []string{"step"}),
	}
	m.registry.MustRegister(m.promotions, m.fences, m.parks, m.consulErrors, m.redisErrors, m.hookFailures, m.steps)
	// Each counter begins with 0: increase() of one that begins with 1 would miss the first failure.
	for _, event := range []string{handlers.TypePromote, handlers.TypeReplicate, handlers.TypeFence} {
		m.hookFailures.WithLabelValues(event)
	}
	return m
}

// Promoted counts a term in which this member was published as master.
func (m *Metrics) Promoted() {
	if m != nil {
		m.promotions.Inc()
	}
}

// Fenced counts a Redis that was made to refuse writes.
func (m *Metrics) Fenced() {
	if m != nil {
		m.fences.Inc()
	}
}

// Parked counts a Redis that was parked.
func (m *Metrics) Parked() {
	if m != nil {
		m.parks.Inc()
	}
}

// HookFailed counts a failed run of a hook; event is the kind of event that it runs on.
func (m *Metrics) HookFailed(event string) {
	if m != nil {
		m.hookFailures.WithLabelValues(event).Inc()
	}
}

// ConsulError counts a failed call to Consul.
func (m *Metrics) ConsulError() {
	if m != nil {
		m.consulErrors.Inc()
	}
}

// RedisError counts a failed command to a Redis.
func (m *Metrics) RedisError() {
	if m != nil {
		m.redisErrors.Inc()
	}
}

// Step records the duration of a step of a takeover.
func (m *Metrics) Step(name string, took time.Duration) {
	if m != nil {
		m.steps.WithLabelValues(name).Observe(took.Seconds())
	}
}

// Serve answers a request of Prometheus with the counters and with the gauges of now.
func (m *Metrics) Serve(w http.ResponseWriter, r *http.Request, now Now) {
	gauges := prometheus.NewRegistry()
	gauges.MustRegister(now)
	promhttp.HandlerFor(prometheus.Gatherers{m.registry, gauges}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
