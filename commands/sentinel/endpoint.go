package sentinel

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/topology"
)

// Endpoint is a server, what feeds it, and its registration in Consul, by which the other endpoints of the cluster know it.
type Endpoint struct {
	Server    *Server
	Feed      *topology.Feed
	Registrar *catalog.Registrar // nil: the endpoint is not registered, because only its own host can connect to it
	Entry     catalog.Entry      // that is registered
	Log       *slog.Logger
}

// Run answers until the end of ctx. Once leaving is done it deregisters the endpoint: new clients find another one, and connected
// clients still learn what happens. It returns an error if Consul's watch rejects a name.
func (e *Endpoint) Run(ctx, leaving context.Context) error {
	defer e.Server.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.Feed.Run(ctx) })
	if e.Registrar != nil {
		e.Registrar.Set(e.Entry)
		g.Go(func() error {
			leaving, left := context.WithCancel(leaving)
			defer left()
			defer context.AfterFunc(ctx, left)()
			if err := e.Registrar.Run(leaving); err != nil {
				e.Log.Warn("cannot deregister the sentinel endpoint; consul removes it later", "event", "sentinel_deregister_failed",
					"id", e.Registrar.ID, "err", err)
			}
			return nil
		})
	}
	return g.Wait()
}
