package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"resec/scripts/lab"
)

// front is what is between an agent and its Consul agent: a proxy that is slow, or that limits the rate of requests.
type front struct {
	late  time.Duration // each answer
	limit int           // each so-many-th request is answered with 429; 0: none

	asked atomic.Int64
	to    atomic.Pointer[url.URL] // nil: nobody yet
	http  *http.Server
	serve sync.WaitGroup
}

// newFront draws one. Most do nothing.
func newFront(r *rand.Rand) *front {
	f := &front{}
	switch r.IntN(4) {
	case 0:
		f.late = time.Duration(50+r.IntN(250)) * time.Millisecond
	case 1:
		f.limit = 4 + r.IntN(8)
	}
	return f
}

func (f *front) String() string {
	switch {
	case f.late > 0:
		return fmt.Sprint("answers ", f.late, " late")
	case f.limit > 0:
		return fmt.Sprintf("refuses 1 of %d requests", f.limit)
	}
	return "as it is"
}

// open listens, and returns the address.
func (f *front) open() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	proxy := &httputil.ReverseProxy{FlushInterval: -1,
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(f.to.Load()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ModifyResponse: func(r *http.Response) error {
			wait(r.Request.Context(), f.late)
			return nil
		}}
	f.http = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.to.Load() == nil || f.limit > 0 && f.asked.Add(1)%int64(f.limit) == 0 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	f.serve.Go(func() { _ = f.http.Serve(l) }) // its end is that of close
	return l.Addr().String(), nil
}

// before says which Consul agent is behind it.
func (f *front) before(c *lab.Consul) { f.to.Store(&url.URL{Scheme: "http", Host: c.HTTP()}) }

func (f *front) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody is waited for
	_ = f.http.Shutdown(ctx)
	_ = f.http.Close()
	f.serve.Wait()
}
