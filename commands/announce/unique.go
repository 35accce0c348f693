package announce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/handlers"
	"resec/handlers/redis"
)

// notStarted begins what is shown of an agent that waits.
const notStarted = "not started yet: "

// anotherManages begins the reason of an agent whose Redis another process manages.
const anotherManages = "another resec named"

// openRetry is the pause after our Redis was not opened.
const openRetry = 500 * time.Millisecond

// OpenUnique waits until our Redis answers and no other process is this member, and returns our Redis opened. A second agent
// would take the first one's lock for its own, and release it when it stops. Under Nomad a new allocation has the old one's
// name, and may start before that one ends. OpenUnique returns the context's error if that ends, redis.ErrTooOld,
// and redis.ErrClusterMode. While it waits the catalogue says why, in an entry whose check is critical.
func (a *Announcer) OpenUnique(ctx context.Context) (server *redis.Server, err error) {
	shown := newWaiting()
	defer func() {
		if server == nil {
			a.hideWaiting(ctx, shown)
		}
	}()
	for logged, clients := (logonce.Once{}), (logonce.Once{}); ; {
		duplicate := a.duplicateMember(ctx)
		why := duplicate
		if why == "" {
			s, denied, err := a.connect(ctx, &clients)
			if err != nil || s != nil {
				return s, err
			}
			why = denied
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if logged.Changed(lock.ErrorKind(errors.New(why))) {
			a.Log.Warn("not started yet, retrying", "event", "not_started", "why", why)
			a.setAdvertised(catalog.Entry{Output: notStarted + why})
		}
		if duplicate == "" && !strings.HasPrefix(why, anotherManages) { // otherwise the entry is another process's
			a.showWaiting(ctx, shown, why)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(openRetry):
		}
	}
}

// duplicateMember says which other member has our id, or our place in the catalogue; or why that is unknown.
func (a *Announcer) duplicateMember(ctx context.Context) string {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return err.Error()
	}
	return duplicateEntry(entries, a.Known.Load().Announced(a.Me))
}

// duplicateEntry says which live instance, other than our own, has our id, or our place under another id.
func duplicateEntry(entries []handlers.Entry, me cluster.Master) string {
	for _, e := range entries {
		samePlace := e.Node.Node == me.Node && e.Service.ID == me.ServiceID
		sameID := e.ID() == me.ID
		if e.ID() == "" || e.AgentStatus() == api.HealthCritical || sameID == samePlace {
			continue
		}
		if samePlace {
			return fmt.Sprintf("the service %s on this node is that of the live member %q, not of MEMBER_ID %q",
				e.Service.ID, e.ID(), me.ID)
		}
		return fmt.Sprintf("MEMBER_ID %q is also that of the live service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
	}
	return ""
}

// connect opens our Redis under our name, unless another process has a connection of that name. If two connect at the same
// moment, the one with the lower client id stays. It returns either the server, or why it was not opened, or an error that
// does not go away by waiting.
func (a *Announcer) connect(ctx context.Context, clients *logonce.Once) (s *redis.Server, why string, err error) {
	s, err = redis.Open(ctx, a.Creds.WithIdlePing())
	if err != nil {
		return nil, "", err
	}
	if why, err = a.checkOwnRedis(ctx, s, clients); why != "" || err != nil {
		s.Close()
		return nil, why, err
	}
	return s, "", nil
}

// checkOwnRedis says why this agent must not manage the server. clients is what was logged of a list of clients that failed.
func (a *Announcer) checkOwnRedis(ctx context.Context, s *redis.Server, clients *logonce.Once) (why string, err error) {
	own, err := s.Status(ctx)
	if redis.Unsupported(err) {
		return "", err
	}
	if err != nil {
		return "redis is unhealthy: " + redis.Summary(err), nil
	}
	n, err := s.OlderNamesakes(ctx)
	if err == nil && n > 0 {
		return fmt.Sprintf(anotherManages+" %q manages this redis already", a.Me.ID), nil
	}
	if err != nil && ctx.Err() == nil && clients.Changed(redis.Summary(err)) {
		a.Log.Warn("cannot list the clients of redis; a second resec with the same MEMBER_ID would not be noticed",
			"event", "clients_not_listed", "redis", s.Addr(), "err", err)
	}
	there, err := handlers.Probe(ctx, a.Creds.At(a.Me.Address))
	if err != nil {
		a.Log.Warn("the announced address does not lead to our redis from this host; other members may not reach it",
			"event", "announced_unreachable",
			"addr", a.Me.Address, "why", redis.Summary(err))
		return "", nil
	}
	if there.RunID != own.RunID {
		return fmt.Sprintf("ANNOUNCE_ADDR %s leads to another redis than REDIS_ADDR %s", a.Me.Address, s.Addr()), nil
	}
	return "", nil
}

// idInUse says that another Redis is managed under our id, so that the lock under that id is not a predecessor's.
func (a *Announcer) idInUse(ctx context.Context, m *cluster.Master, runID string) string {
	if m == nil || m.ID != a.Me.ID || m.RunID == runID {
		return ""
	}
	if there, err := handlers.Probe(ctx, a.Creds.At(m.Address)); err == nil && there.RunID == m.RunID {
		return fmt.Sprintf("another redis, at %s, is managed under our id %q", m.Address, a.Me.ID)
	}
	return ""
}
