package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// alone waits until nobody else is what we are about to be: a second agent would take the first one's lock for its own,
// and give it up when it leaves. Under Nomad a new allocation has the old one's name, and may start before that one ends.
func (a *Agent) alone(ctx context.Context) {
	for said := ""; ; {
		why := a.double(ctx)
		if why == "" {
			why = a.elsewhere(ctx)
		}
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

// double says which other member, or which other process beside our Redis, has our id.
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

// elsewhere says why our Redis is not ours alone. A Redis that does not answer yet has nobody else either.
func (a *Agent) elsewhere(ctx context.Context) string {
	own, err := a.Redis.Status(ctx)
	if err != nil {
		return ""
	}
	if n, err := a.Redis.Namesakes(ctx); err == nil && n > 0 {
		return fmt.Sprintf("another resec named %q works on this redis already", a.Me.ID)
	}
	opt := a.Creds
	opt.Addr = a.Me.Address
	there, err := handlers.Ask(ctx, opt)
	switch {
	case err == nil && there.RunID != own.RunID:
		return fmt.Sprintf("ANNOUNCE_ADDR %s leads to another redis than REDIS_ADDR %s", a.Me.Address, a.Redis.Addr())
	case err != nil:
		a.Log.Warn("the announced address does not lead to our redis, at least not from here", "addr", a.Me.Address, "why", redis.Why(err))
	}
	return ""
}

// usurped says that another Redis works under our id, whose lock is therefore not a predecessor's.
func (a *Agent) usurped(ctx context.Context, m *lock.Master, run string) string {
	if m == nil || m.RunID == run {
		return ""
	}
	opt := a.Creds
	opt.Addr = m.Address
	if there, err := handlers.Ask(ctx, opt); err == nil && there.RunID == m.RunID {
		return fmt.Sprintf("another redis, at %s, works under our id %q", m.Address, a.Me.ID)
	}
	return ""
}
