package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/httpapi"
	"resec/commands/topology"
)

// Proxy is a server for each role, the router that both ask, what feeds it, and the proxy's registration in Consul.
type Proxy struct {
	Feed        *topology.Feed
	Router      *Router
	Write, Read *Server            // Read may be nil: there is no port for reads
	Registrar   *catalog.Registrar // nil: the proxy is not registered
	Drain       time.Duration      // for so long clients may finish once the context has ended
	Log         *slog.Logger
}

// Run works until the context ends, then drains and closes both servers. It returns an error if Consul's watch rejects a name, or
// if the deregistration fails.
func (p *Proxy) Run(ctx context.Context) error {
	defer p.Close()
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // it outlasts ctx by the drain
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return p.Feed.Run(work) })
	g.Go(func() error { p.Router.Run(work, p.changes()); return nil })
	g.Go(func() error {
		defer stop()
		select {
		case <-ctx.Done():
			p.Log.Info("stopping; clients are disconnected once they are at rest", "event", "proxy_draining", "limit", p.Drain)
			p.drain(work)
		case <-work.Done():
		}
		return nil
	})
	if p.Registrar != nil {
		registered, unregister := context.WithCancel(ctx)
		defer unregister()
		defer context.AfterFunc(work, unregister)()
		g.Go(func() error { return p.Registrar.Run(registered) })
	}
	return g.Wait()
}

// changes returns what is called after each change of what the router knows. It disconnects the clients of an old master, and
// publishes and logs to whom clients are connected.
func (p *Proxy) changes() func() {
	last, lastWhy := topology.Instance{}, "?" // nothing is published yet
	return func() {
		m, why := p.Router.Writable()
		n := p.Write.Cut()
		if why == lastWhy && (why != "" || m.Addr == last.Addr && m.RunID == last.RunID) {
			return
		}
		last, lastWhy = m, why
		p.publish(m, why)
		if why == "" {
			p.Log.Info("clients are connected to the master", "event", "proxy_master", "id", m.ID, "addr", m.Addr, "term", m.Term,
				"disconnected", n)
		} else {
			p.Log.Warn("there is no master that accepts writes; new clients wait for one", "event", "proxy_no_master",
				"why", why, "limit", p.Write.Hold)
		}
	}
}

// publish sets the entry of the proxy, if it is registered.
func (p *Proxy) publish(m topology.Instance, why string) {
	if p.Registrar == nil {
		return
	}
	e := catalog.Entry{Role: catalog.Proxy, Status: api.HealthPassing, Output: "connects clients to " + m.Addr}
	if why != "" {
		e.Status, e.Output = api.HealthWarning, noMaster+why
	}
	p.Registrar.Set(e)
}

const noMaster = "there is no master that accepts writes: "

// Endpoints are what a proxy answers by HTTP: whether clients can write through it, and its metrics.
func (p *Proxy) Endpoints(context.Context) httpapi.Endpoints {
	all := prometheus.NewRegistry()
	all.MustRegister(p)
	return httpapi.Endpoints{
		"/health": func(w http.ResponseWriter, _ *http.Request) {
			m, why := p.Router.Writable()
			text := noMaster + why
			if why == "" {
				text = fmt.Sprintf("connects clients to %s at %s, term %d", m.ID, m.Addr, m.Term)
			}
			httpapi.Answer(w, why == "", text)
		},
		"/metrics": promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP,
	}
}

// Describe implements prometheus.Collector.
func (p *Proxy) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{open, waiting, accepted, refused, held, cut, passed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (p *Proxy) Collect(out chan<- prometheus.Metric) {
	for _, s := range p.servers() {
		s.collect(out)
	}
}

func (p *Proxy) servers() []*Server {
	if p.Read == nil {
		return []*Server{p.Write}
	}
	return []*Server{p.Write, p.Read}
}

func (p *Proxy) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.Drain)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range p.servers() {
		all.Go(func() { s.Drain(ctx) })
	}
	all.Wait()
}

// Close disconnects all clients.
func (p *Proxy) Close() {
	for _, s := range p.servers() {
		s.Close()
	}
}
