// Package metrics counts what a member does, for Prometheus.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"resec/handlers"
)

// Metrics are what is counted from the start of this process on. All its methods may be called on a nil one, which counts
// nothing.
type Metrics struct {
	registry *prometheus.Registry

	promotions, fences, parks, consulErrors, redisErrors prometheus.Counter
	hookFailures                                         *prometheus.CounterVec
	steps                                                *prometheus.HistogramVec
}

// New begins to count.
func New() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		registry:     prometheus.NewRegistry(),
		promotions:   counter("resec_promotions_total", "Terms in which this member was published as the master."),
		fences:       counter("resec_fences_total", "Redis servers, this member's or another's, that were made to refuse writes."),
		parks:        counter("resec_parks_total", "Redis servers, this member's or another's, that were made replicas of nobody."),
		consulErrors: counter("resec_consul_errors_total", "Calls to Consul that failed."),
		redisErrors:  counter("resec_redis_errors_total", "Commands to Redis servers, this member's or others', that failed."),
		hookFailures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "resec_hook_failures_total", Help: "Runs of a hook that failed."}, []string{"hook"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resec_takeover_step_duration_seconds", Help: "What each step of a take-over took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"step"}),
	}
	m.registry.MustRegister(m.promotions, m.fences, m.parks, m.consulErrors, m.redisErrors, m.hookFailures, m.steps)
	for _, hook := range []string{handlers.TypePromote, handlers.TypeReplicate, handlers.TypeFence} { // a counter that begins with 1 has not increased
		m.hookFailures.WithLabelValues(hook)
	}
	return m
}

// Promoted counts a term of ours that was published.
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

// Parked counts a Redis that was made a replica of nobody.
func (m *Metrics) Parked() {
	if m != nil {
		m.parks.Inc()
	}
}

// HookFailed counts a run of a hook that failed.
func (m *Metrics) HookFailed(hook string) {
	if m != nil {
		m.hookFailures.WithLabelValues(hook).Inc()
	}
}

// ConsulError counts a call to Consul that failed.
func (m *Metrics) ConsulError() {
	if m != nil {
		m.consulErrors.Inc()
	}
}

// RedisError counts a command to a Redis that failed.
func (m *Metrics) RedisError() {
	if m != nil {
		m.redisErrors.Inc()
	}
}

// Step tells what a step of a take-over took.
func (m *Metrics) Step(name string, d time.Duration) {
	if m != nil {
		m.steps.WithLabelValues(name).Observe(d.Seconds())
	}
}

// Serve answers a request with what was counted, and with what is so now.
func (m *Metrics) Serve(w http.ResponseWriter, r *http.Request, now Now) {
	at := prometheus.NewRegistry()
	at.MustRegister(now)
	promhttp.HandlerFor(prometheus.Gatherers{m.registry, at}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
