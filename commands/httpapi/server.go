// Package httpapi answers by HTTP what a member is, for load balancers, rolling updates and Prometheus. It only reads.
//
// Listen starts one goroutine that serves; net/http starts one for each connection. Close ends and joins them.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"resec/commands/listen"
	"resec/commands/metrics"
	"resec/commands/report"
)

const (
	// maxReports bounds the reports that are made at once, because each asks Redis. reportTimeout bounds one, and the wait for its
	// turn.
	maxReports, reportTimeout = 8, 4 * time.Second
	// statusTimeout bounds the status of the whole cluster.
	statusTimeout = 5 * time.Second

	readTimeout  = 2 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 5 * time.Second // an idle connection counts for maxConns
	// closeTimeout bounds, at the end of the process, the requests that are being answered, and again after their reports were
	// cancelled. The rest of the shutdown takes up to 4.4 s if Consul is frozen, and Nomad sends SIGKILL after 5 s.
	closeTimeout = 250 * time.Millisecond

	maxHeaderBytes = 8 << 10
	maxConns       = 512 // or fewer: see listen.MaxConns
)

// An answer is written after the report or the status that it waits for; the shutdown ends before Nomad's SIGKILL.
const (
	_ = uint(writeTimeout - readTimeout - reportTimeout)
	_ = uint(writeTimeout - readTimeout - statusTimeout)
	_ = uint(5*time.Second - 4400*time.Millisecond - 2*closeTimeout)
)

// Server answers requests. SetReporter and Close may be called on a nil *Server: they do nothing.
type Server struct {
	metrics  *metrics.Metrics
	status   func(context.Context) (any, error)
	log      *slog.Logger
	addr     string // that it listens on
	http     *http.Server
	reporter atomic.Pointer[func(context.Context, bool) report.Report] // nil: not set yet

	reports  *semaphore.Weighted
	statuses singleflight.Group // requests for /status at the same time share one status
	ctx      context.Context    // of all requests
	cancel   context.CancelFunc
	serving  sync.WaitGroup
}

// Listen starts a server at addr, host:port. Until SetReporter is called its answers say that the agent is starting. status
// returns what /status shows. It returns an error if the server cannot listen at addr.
func Listen(ctx context.Context, addr string, m *metrics.Metrics, status func(context.Context) (any, error),
	log *slog.Logger) (*Server, error) {
	l, err := listen.On(ctx, "LISTEN_ADDR", addr, func(addr net.Addr, failures int, err error) {
		log.Warn("cannot accept an http connection, retrying", "event", "http_accept_failed", "addr", addr.String(),
			"failures", failures, "err", err)
	})
	if err != nil {
		return nil, err
	}
	most, err := listen.MaxConns(maxConns, 1)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l = netutil.LimitListener(l, most)
	s := &Server{metrics: m, status: status, log: log, addr: l.Addr().String(), reports: semaphore.NewWeighted(maxReports)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it answers during the agent's shutdown, too
	errorLog := log.Handler().WithAttrs([]slog.Attr{slog.String("event", "http_error")})
	s.http = &http.Server{
		Handler: s.routes(), ErrorLog: slog.NewLogLogger(errorLog, slog.LevelWarn),
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	s.serving.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("http server failed; LISTEN_ADDR is not served any more", "event", "http_server_failed", "addr", s.addr, "err", err)
		}
	})
	log.Info("listening for http requests", "event", "http_listening", "addr", s.addr)
	return s, nil
}

// SetReporter sets the function that reports what the member is. If its second argument is true it also asks the master how far
// this Redis is behind.
func (s *Server) SetReporter(ask func(context.Context, bool) report.Report) {
	if s != nil {
		s.reporter.Store(&ask)
	}
}

// Close stops listening, and returns when every request was answered, or was given up after closeTimeout and again closeTimeout.
func (s *Server) Close() {
	if s == nil {
		return
	}
	err := s.shutdown()
	s.cancel() // the reports that are still under way
	if err != nil && s.shutdown() != nil {
		_ = s.http.Close() // the connections that are left have sent no request, or do not read the answer
	}
	s.serving.Wait()
}

// shutdown waits for the requests that are being answered. It returns an error if some are left after closeTimeout.
func (s *Server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// Paths returns the paths that a server answers, sorted. Each takes GET and HEAD.
func Paths() []string { return slices.Sorted(maps.Keys(new(Server).endpoints())) }

// endpoints are what a server answers, by path.
func (s *Server) endpoints() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/health":  func(w http.ResponseWriter, r *http.Request) { respond(w, health(s.report(r, true))) },
		"/master":  func(w http.ResponseWriter, r *http.Request) { respond(w, master(s.report(r, false))) },
		"/replica": s.replica,
		"/status":  s.serveStatus,
		"/metrics": func(w http.ResponseWriter, r *http.Request) { s.metrics.Serve(w, r, gauges(s.report(r, true))) },
	}
}

// routes returns the handler of all paths.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, answer := range s.endpoints() {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			answer(w, r)
		})
	}
	return mux
}

func (s *Server) replica(w http.ResponseWriter, r *http.Request) {
	maxLag, err := maxLagBytes(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	respond(w, replica(s.report(r, maxLag != noLimit), maxLag))
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
func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	answer, err, _ := s.statuses.Do("status", func() (any, error) {
		ctx, cancel := context.WithTimeout(s.ctx, statusTimeout)
		defer cancel()
		return s.status(ctx)
	})
	if err != nil {
		s.log.Debug("cannot read the status of the cluster; answering 503", "event", "status_failed", "err", err)
		respond(w, unavailable("consul does not answer"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(answer) // fails if the client has disconnected
}

// report returns what the member is. If askMaster is true it says how far Redis is behind the master, too.
func (s *Server) report(r *http.Request, askMaster bool) report.Report {
	ask := s.reporter.Load()
	if ask == nil {
		return report.Report{Why: "the agent is starting"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	if s.reports.Acquire(ctx, 1) != nil {
		return report.Report{Why: "too many requests at once"}
	}
	defer s.reports.Release(1)
	return (*ask)(ctx, askMaster)
}

// respond answers with one line, under 200 or 503.
func respond(w http.ResponseWriter, v verdict) {
	if !v.ok {
		http.Error(w, v.text, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, v.text) // fails if the client has disconnected
}
