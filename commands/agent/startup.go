package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// waitUntilUnique waits until our Redis answers and nobody else is what we are about to be, then opens it: a second agent would
// take the first one's lock for its own, and give it up when it leaves. Under Nomad a new allocation has the old one's
// name, and may start before that one ends. It returns an error where waiting cannot help.
func (a *Agent) waitUntilUnique(ctx context.Context) error {
	for said := ""; ; {
		why := a.duplicateMember(ctx)
		if why == "" {
			var err error
			if why, err = a.connect(ctx); err != nil {
				return err
			}
		}
		if why == "" || ctx.Err() != nil {
			return nil
		}
		if why != said {
			a.Log.Warn("not started yet", "why", why)
			a.setAdvertised(catalog.Entry{Output: "not started yet: " + why})
			said = why
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(minStepRetry):
		}
	}
}

// duplicateMember says which other member, or which other process beside our Redis, has our id.
func (a *Agent) duplicateMember(ctx context.Context) string {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return err.Error()
	}
	return double(entries, a.Me)
}

// double says which living instance, other than our own, has our id, or our place under another id.
func double(entries []handlers.Entry, me cluster.Master) string {
	for _, e := range entries {
		place := e.Node.Node == me.Node && e.Service.ID == me.ServiceID
		if e.ID() == "" || e.Status() == api.HealthCritical || (e.ID() == me.ID) == place {
			continue
		}
		if place {
			return fmt.Sprintf("the service %s on this node is that of the living member %q, not of MEMBER_ID %q", e.Service.ID, e.ID(), me.ID)
		}
		return fmt.Sprintf("MEMBER_ID %q is also that of the living service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
	}
	return ""
}

// connect connects to our Redis under our name, unless another process is there under it: of two that come at the same
// moment the one with the lower client id stays. It says why it did not.
func (a *Agent) connect(ctx context.Context) (why string, err error) {
	s, err := redis.Open(ctx, a.Creds.WithIdlePing())
	if err != nil {
		return "", err
	}
	defer func() {
		if why != "" || err != nil {
			s.Close()
		}
	}()
	own, err := s.Status(ctx)
	switch {
	case errors.Is(err, redis.ErrTooOld):
		return "", err
	case err != nil:
		return "redis is unhealthy: " + redis.Summary(err), nil
	}
	if n, err := s.OlderNamesakes(ctx); err == nil && n > 0 {
		return fmt.Sprintf("another resec named %q works on this redis already", a.Me.ID), nil
	}
	opt := a.Creds
	opt.Addr = a.Me.Address
	there, err := handlers.Probe(ctx, opt)
	switch {
	case err == nil && there.RunID != own.RunID:
		return fmt.Sprintf("ANNOUNCE_ADDR %s leads to another redis than REDIS_ADDR %s", a.Me.Address, s.Addr()), nil
	case err != nil:
		a.Log.Warn("the announced address does not lead to our redis, at least not from here", "addr", a.Me.Address, "why", redis.Summary(err))
	}
	a.Redis = s
	return "", nil
}

// idInUse says that another Redis works under our id, whose lock is therefore not a predecessor's.
func (a *Agent) idInUse(ctx context.Context, m *cluster.Master, run string) string {
	if m == nil || m.ID != a.Me.ID || m.RunID == run {
		return ""
	}
	opt := a.Creds
	opt.Addr = m.Address
	if there, err := handlers.Probe(ctx, opt); err == nil && there.RunID == m.RunID {
		return fmt.Sprintf("another redis, at %s, works under our id %q", m.Address, a.Me.ID)
	}
	return ""
}
