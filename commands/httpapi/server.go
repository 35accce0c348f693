// Package httpapi tells who asks by HTTP what a member is: load balancers, rolling updates, Prometheus. It changes nothing.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"resec/commands/agent"
	"resec/commands/metrics"
)

const (
	// looksMax is how many looks at Redis are under way at once; each waits no longer than lookFor for its turn and its end.
	looksMax, lookFor = 8, 4 * time.Second
	// statusFor bounds a look at the whole cluster. writeFor is longer than both.
	statusFor = 5 * time.Second
	readFor   = 2 * time.Second
	writeFor  = 10 * time.Second
	idleFor   = 5 * time.Second // an idle connection takes another's place
	// closeFor is what those who ask at that moment have when the process ends, and again once their looks are ended. Leaving
	// takes up to 4.4 s where Consul freezes, and Nomad kills after 5.
	closeFor   = 250 * time.Millisecond
	headersMax = 8 << 10 // bytes
	// connsMax are served at once: each takes a file descriptor, and the agent needs some to lead.
	connsMax = 512
)

// Server answers.
type Server struct {
	metrics  *metrics.Metrics
	status   func(context.Context) (any, error)
	log      *slog.Logger
	addr     string // that it listens on
	http     *http.Server
	reporter atomic.Pointer[func(context.Context, bool) agent.Report]

	looks   *semaphore.Weighted
	shared  singleflight.Group // many who ask at once cost one look at the cluster
	ctx     context.Context    // of whoever asks
	end     context.CancelFunc
	serving sync.WaitGroup
}

// Listen begins to answer. Until Show says what the member is, it is not ready.
func Listen(ctx context.Context, addr string, m *metrics.Metrics, status func(context.Context) (any, error), log *slog.Logger) (*Server, error) {
	var conf net.ListenConfig
	l, err := conf.Listen(ctx, "tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("listen on LISTEN_ADDR %s: %w", addr, err)
	}
	l = netutil.LimitListener(l, connsMax)
	s := &Server{metrics: m, status: status, log: log, addr: l.Addr().String(), looks: semaphore.NewWeighted(looksMax)}
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx)) // it answers while the agent leaves, too
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: readFor, ReadTimeout: readFor, WriteTimeout: writeFor, IdleTimeout: idleFor,
		MaxHeaderBytes: headersMax, BaseContext: func(net.Listener) context.Context { return s.ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	s.serving.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("nobody is answered on LISTEN_ADDR any more", "addr", s.addr, "err", err)
		}
	})
	log.Info("listening", "addr", s.addr)
	return s, nil
}

// SetReporter says what the member is from now on.
func (s *Server) SetReporter(report func(context.Context, bool) agent.Report) {
	if s != nil {
		s.reporter.Store(&report)
	}
}

// Close ends the answering.
func (s *Server) Close() {
	if s == nil {
		return
	}
	err := s.shutdown()
	s.end() // the looks of those who wait still
	if err != nil && s.shutdown() != nil {
		_ = s.http.Close() // what is left has not asked, or does not read its answer
	}
	s.serving.Wait()
}

func (s *Server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// routes are all that there is.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, h http.HandlerFunc) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { // and HEAD
			w.Header().Set("Cache-Control", "no-store")
			h(w, r)
		})
	}
	get("/health", func(w http.ResponseWriter, r *http.Request) { respond(w, health(s.report(r, true))) })
	get("/master", func(w http.ResponseWriter, r *http.Request) { respond(w, master(s.report(r, false))) })
	get("/replica", s.replica)
	get("/status", s.serveStatus)
	get("/metrics", func(w http.ResponseWriter, r *http.Request) { s.metrics.Serve(w, r, now(s.report(r, true))) })
	return mux
}

func (s *Server) replica(w http.ResponseWriter, r *http.Request) {
	most := int64(noLimit)
	q, malformed := url.ParseQuery(r.URL.RawQuery)
	if q.Has("max_lag_bytes") || malformed != nil {
		n, err := strconv.ParseInt(q.Get("max_lag_bytes"), 10, 64)
		if err != nil || n < 0 || malformed != nil {
			http.Error(w, "max_lag_bytes takes a whole number from 0", http.StatusBadRequest)
			return
		}
		most = n
	}
	respond(w, replica(s.report(r, most >= 0), most))
}

// serveStatus is what `resec status -json` prints.
func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	report, err, _ := s.shared.Do("status", func() (any, error) {
		ctx, cancel := context.WithTimeout(s.ctx, statusFor)
		defer cancel()
		return s.status(ctx)
	})
	if err != nil {
		s.log.Debug("no status for who asks", "err", err)
		respond(w, unavailable("consul does not answer"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(report) // who asked has gone
}

// report is what the member is, and how far behind the master, whom only that takes to be asked.
func (s *Server) report(r *http.Request, behind bool) agent.Report {
	report := s.reporter.Load()
	if report == nil {
		return agent.Report{Why: "the agent starts"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookFor)
	defer cancel()
	if s.looks.Acquire(ctx, 1) != nil {
		return agent.Report{Why: "too many ask at once"}
	}
	defer s.looks.Release(1)
	return (*report)(ctx, behind)
}

// respond answers 200 or 503, and one line.
func respond(w http.ResponseWriter, a answer) {
	if !a.ok {
		http.Error(w, a.text, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, a.text) // who asked has gone
}
