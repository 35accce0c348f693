package sentinel

import (
	"context"

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
}

// Run answers until the end of ctx. It deregisters the endpoint once leaving is done, so that a client that comes anew finds
// another one; the clients that it has still learn what happens. It returns an error if Consul's watch rejects a name, or if
// the deregistration fails.
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
			return e.Registrar.Run(leaving)
		})
	}
	return g.Wait()
}
