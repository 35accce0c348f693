package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"resec/commands/metrics"
	"resec/commands/report"
)

const (
	// maxReports bounds the reports that are made at once, because each asks Redis. reportTimeout bounds one, and the wait for its
	// turn.
	maxReports, reportTimeout = 8, 4 * time.Second
	// statusTimeout bounds the status of the whole cluster.
	statusTimeout = 5 * time.Second
)

// An answer is written after the report or the status that it waits for.
const (
	_ = uint(writeTimeout - readTimeout - reportTimeout)
	_ = uint(writeTimeout - readTimeout - statusTimeout)
)

// Member answers what a member of the cluster is. SetReporter may be called on a nil *Member: it does nothing.
type Member struct {
	metrics  *metrics.Metrics
	status   func(context.Context) (any, error)
	log      *slog.Logger
	reporter atomic.Pointer[func(context.Context, bool) report.Report] // nil: not set yet

	reports  *semaphore.Weighted
	statuses singleflight.Group // requests for /status at the same time share one status
}

// NewMember returns a member. Until SetReporter is called its answers say that the agent is starting. status returns what /status
// shows.
func NewMember(m *metrics.Metrics, status func(context.Context) (any, error), log *slog.Logger) *Member {
	return &Member{metrics: m, status: status, log: log, reports: semaphore.NewWeighted(maxReports)}
}

// SetReporter sets the function that reports what the member is. If its second argument is true it also asks the master how far
// this Redis is behind.
func (m *Member) SetReporter(ask func(context.Context, bool) report.Report) {
	if m != nil {
		m.reporter.Store(&ask)
	}
}

// Paths returns the paths that a member answers, sorted. Each takes GET and HEAD.
func Paths() []string { return slices.Sorted(maps.Keys(new(Member).Endpoints(context.Background()))) }

// Endpoints are what a member answers. The status ends with ctx, and with no request, because several may share it.
func (m *Member) Endpoints(ctx context.Context) Endpoints {
	return Endpoints{
		"/health":  func(w http.ResponseWriter, r *http.Request) { respond(w, health(m.report(r, true))) },
		"/master":  func(w http.ResponseWriter, r *http.Request) { respond(w, master(m.report(r, false))) },
		"/replica": m.replica,
		"/status":  func(w http.ResponseWriter, _ *http.Request) { m.serveStatus(ctx, w) },
		"/metrics": func(w http.ResponseWriter, r *http.Request) { m.metrics.Serve(w, r, gauges(m.report(r, true))) },
	}
}

func (m *Member) replica(w http.ResponseWriter, r *http.Request) {
	maxLag, err := maxLagBytes(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	respond(w, replica(m.report(r, maxLag != noLimit), maxLag))
}

var errMaxLagBytes = errors.New("max_lag_bytes must be a whole number from 0")

// maxLagBytes returns the parameter of that name, or noLimit if there is none. It returns errMaxLagBytes if it is invalid.
func maxLagBytes(query string) (int64, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return 0, errMaxLagBytes
	}
	if !q.Has("max_lag_bytes") {
		return noLimit, nil
	}
	n, err := strconv.ParseInt(q.Get("max_lag_bytes"), 10, 64)
	if err != nil || n < 0 {
		return 0, errMaxLagBytes
	}
	return n, nil
}

// serveStatus answers with what `resec status -json` prints.
func (m *Member) serveStatus(ctx context.Context, w http.ResponseWriter) {
	answer, err, _ := m.statuses.Do("status", func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		return m.status(ctx)
	})
	if err != nil {
		m.log.Debug("cannot read the status of the cluster; answering 503", "event", "status_failed", "err", err)
		respond(w, unavailable("consul does not answer"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(answer) // fails if the client has disconnected
}

// report returns what the member is. If askMaster is true it says how far Redis is behind the master, too.
func (m *Member) report(r *http.Request, askMaster bool) report.Report {
	ask := m.reporter.Load()
	if ask == nil {
		return report.Report{Why: "the agent is starting"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	if m.reports.Acquire(ctx, 1) != nil {
		return report.Report{Why: "too many requests at once"}
	}
	defer m.reports.Release(1)
	return (*ask)(ctx, askMaster)
}

func respond(w http.ResponseWriter, v verdict) { Answer(w, v.ok, v.text) }
