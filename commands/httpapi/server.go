// Package httpapi answers by HTTP what a process is, for load balancers, rolling updates and Prometheus. It only reads.
//
// Listen starts one goroutine that serves; net/http starts one for each connection. Close ends and joins them.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"resec/commands/listen"
)

const (
	readTimeout  = 2 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 5 * time.Second // an idle connection counts for maxConns
	// closeTimeout bounds, at the end of the process, the requests that are being answered, and again after their reports were
	// cancelled. The rest of the shutdown takes up to 4.4 s if Consul is frozen, and Nomad sends SIGKILL after 5 s.
	closeTimeout = 250 * time.Millisecond

	maxHeaderBytes = 8 << 10
	// At most maxConns connections are served, and at most for this part of the descriptors.
	maxConns, descriptorsPart = 512, 0.25
)

// The shutdown ends before Nomad's SIGKILL.
const _ = uint(5*time.Second - 4400*time.Millisecond - 2*closeTimeout)

// Endpoints are the answers to GET and HEAD, by path.
type Endpoints map[string]http.HandlerFunc

// Server answers requests. Close may be called on a nil *Server: it does nothing.
type Server struct {
	log  *slog.Logger
	addr string // that it listens on
	http *http.Server

	ctx     context.Context // of all requests
	cancel  context.CancelFunc
	serving sync.WaitGroup
}

// Listen starts a server at addr, host:port. endpoints takes the context of all requests, which ends when the server is closed.
// It returns an error if it cannot listen there.
func Listen(ctx context.Context, addr string, endpoints func(context.Context) Endpoints, log *slog.Logger) (*Server, error) {
	l, err := listen.On(ctx, "LISTEN_ADDR", addr, func(addr net.Addr, failures int, err error) {
		log.Warn("cannot accept an http connection, retrying", "event", "http_accept_failed", "addr", addr.String(),
			"failures", failures, "err", err)
	})
	if err != nil {
		return nil, err
	}
	most, err := listen.MaxConns(maxConns, descriptorsPart)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l = netutil.LimitListener(l, most)
	s := &Server{log: log, addr: l.Addr().String()}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it answers during the shutdown of the process, too
	errorLog := log.Handler().WithAttrs([]slog.Attr{slog.String("event", "http_error")})
	s.http = &http.Server{
		Handler: endpoints(s.ctx).routes(), ErrorLog: slog.NewLogLogger(errorLog, slog.LevelWarn),
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

// routes returns the handler of all paths.
func (e Endpoints) routes() http.Handler {
	mux := http.NewServeMux()
	for path, answer := range e {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			answer(w, r)
		})
	}
	return mux
}

// Answer answers with one line, under 200, or under 503 if the process is not what was asked for.
func Answer(w http.ResponseWriter, good bool, text string) {
	if !good {
		http.Error(w, text, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, text) // fails if the client has disconnected
}
