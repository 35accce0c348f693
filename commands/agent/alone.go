package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/lock"
	"resec/handlers"
)

// alone waits until no other living member has our id, whose lock we would take for our own. Under Nomad a new
// allocation has the old one's name, and may start before that one's end.
func (a *Agent) alone(ctx context.Context) {
	for said := ""; ; {
		why := a.double(ctx)
		if why == "" || ctx.Err() != nil {
			return
		}
		if why != said {
			a.Log.Warn("not started yet", "why", why)
			said = why
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

func (a *Agent) double(ctx context.Context) string {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return err.Error()
	}
	return double(entries, a.Me)
}

// double says which living instance, other than our own, has our id.
func double(entries []handlers.Entry, me lock.Master) string {
	for _, e := range entries {
		own := e.Node.Node == me.Node && e.Service.ID == me.ServiceID
		if e.ID() == me.ID && !own && e.Status() != api.HealthCritical {
			return fmt.Sprintf("MEMBER_ID %q is also that of the living service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
		}
	}
	return ""
}
