package announce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/handlers"
	"resec/handlers/redis"
)

const (
	// openRetry is the pause after our Redis was not opened.
	openRetry = 500 * time.Millisecond

	notStarted = "not started yet: " // begins what is shown of an agent that waits
)

// start is one start of an agent: what it has found out so far. It belongs to the goroutine of OpenUnique.
type start struct {
	waits, clients, namesakes logonce.Once
	namesakeSince             time.Time // since when our Redis has a client with our name; zero: it has none
	othersEntry               bool      // what the catalogue shows of this member is, or may be, another process's
}

// OpenUnique waits until our Redis answers and no other process is this member, and returns our Redis opened. A second agent
// would take the first one's lock for its own, and release it when it stops. Under Nomad a new allocation has the old one's
// name, and may start before that one ends. OpenUnique returns the context's error if that ends, cluster.ErrOtherCluster,
// redis.ErrTooOld, and redis.ErrClusterMode. While it waits the catalogue says why, in an entry whose check is critical. Two
// agents that start at the same moment may both return: KeepUnique finds them.
func (a *Announcer) OpenUnique(ctx context.Context) (server *redis.Server, err error) {
	a.forget()
	shown := newWaiting()
	defer func() {
		if server == nil {
			a.hideWaiting(ctx, shown)
		}
	}()
	for now := new(start); ; {
		s, why, err := a.tryOpen(ctx, now)
		if err != nil || s != nil {
			return s, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if now.waits.Changed(lock.ErrorKind(errors.New(why))) {
			a.Log.Warn("not started yet, retrying", "event", "not_started", "why", why)
			a.setAdvertised(catalog.Entry{Output: notStarted + why})
		}
		if !now.othersEntry {
			a.showWaiting(ctx, shown, why)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(openRetry):
		}
	}
}

// forget forgets what an earlier work of this agent left: a reason to give way, and the entry that the catalogue was to show.
func (a *Announcer) forget() {
	a.Registrar.Forget()
	select {
	case <-a.notUnique:
	default:
	}
}

// tryOpen opens our Redis if no other process is this member. It returns either the server, or why it was not opened, or an error
// that does not go away by waiting.
func (a *Announcer) tryOpen(ctx context.Context, now *start) (s *redis.Server, why string, err error) {
	now.othersEntry = true
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return nil, err.Error(), nil
	}
	me := a.Known.Load().Announced(a.Me)
	if why := duplicateEntry(entries, me); why != "" {
		now.othersEntry = placeTaken(entries, me)
		return nil, why, nil
	}
	now.othersEntry = false
	v, err := a.Lock.Read(ctx)
	if err != nil { // the watch on the lock logs it if it lasts, and no session is opened before the lock is read
		a.Log.Debug("cannot read the lock before the start", "event", "lock_unread", "key", a.Lock.Key, "err", err)
	}
	err = v.CheckService(a.Registrar.Naming.Name(catalog.Master))
	if errors.Is(err, cluster.ErrOtherCluster) { // its members are not ours, although their ids may be
		return nil, "", err
	}
	if why, err := a.Registrar.ManagedBeside(ctx); why != "" || err != nil {
		if err != nil {
			why = err.Error()
		}
		return nil, why, nil
	}
	return a.connect(ctx, presence{entries, v}, now)
}

// connect opens our Redis under our name. It returns either the server, or why it was not opened, or an error that does not go
// away by waiting.
func (a *Announcer) connect(ctx context.Context, shown presence, now *start) (s *redis.Server, why string, err error) {
	s, err = redis.Open(ctx, a.Creds.WithIdlePing())
	if err != nil {
		return nil, "", err
	}
	if why, err = a.checkOwnRedis(ctx, s, shown, now); why != "" || err != nil {
		s.Close()
		return nil, why, err
	}
	return s, "", nil
}

// checkOwnRedis says why this agent must not manage the server.
func (a *Announcer) checkOwnRedis(ctx context.Context, s *redis.Server, shown presence, now *start) (why string, err error) {
	own, err := s.Status(ctx)
	if redis.Unsupported(err) {
		return "", err
	}
	if err != nil {
		return "redis is unhealthy: " + redis.Summary(err), nil
	}
	if why := a.namesakeReason(ctx, s, shown, now); why != "" {
		now.othersEntry = true
		return why, nil
	}
	if why := cmp.Or(managedReason(shown.view, a.Me.ID, own.RunID), a.idInUse(ctx, shown.view, own.RunID)); why != "" {
		return why, nil
	}
	addr := a.Known.Load().Announced(a.Me).Address
	there, err := handlers.Probe(ctx, a.Creds.At(addr))
	if err != nil {
		a.Log.Warn("the announced address does not lead to our redis from this host; other members may not reach it",
			"event", "announced_unreachable",
			"addr", addr, "why", redis.Summary(err))
		return "", nil
	}
	if there.RunID != own.RunID {
		return fmt.Sprintf("ANNOUNCE_ADDR %s leads to another redis than REDIS_ADDR %s", addr, s.Addr()), nil
	}
	return "", nil
}
