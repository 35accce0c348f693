package announce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

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
	// otherRedisTimeout bounds the probe of a Redis that may be another one with our id.
	otherRedisTimeout = time.Second

	notStarted = "not started yet: " // begins what is shown of an agent that waits
)

// start is one start of an agent: what it has found out so far. It belongs to the goroutine of OpenUnique.
type start struct {
	waits, clients, namesakes logonce.Once
	namesakeSince             time.Time // since when our Redis has a client with our name; zero: it has none
	othersEntry               bool      // what the catalogue shows of this member is, or may be, another process's
}

// presence is what Consul shows of all members.
type presence struct {
	entries []handlers.Entry
	view    cluster.View // the zero View if the lock cannot be read
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
	if why := duplicateEntry(entries, a.Known.Load().Announced(a.Me)); why != "" {
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
	return a.connect(ctx, presence{entries, v}, now)
}

// duplicateEntry says which live instance, other than our own, has our id, or our place under another id.
func duplicateEntry(entries []handlers.Entry, me cluster.Master) string {
	return newerDuplicate(entries, me, 0)
}

// newerDuplicate is duplicateEntry without the instances of our id that were registered after the index: their agents give way.
// Without an index nobody gives way.
func newerDuplicate(entries []handlers.Entry, me cluster.Master, registered uint64) string {
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
		if registered == 0 || e.Service.CreateIndex < registered {
			return fmt.Sprintf("MEMBER_ID %q is also that of the live service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
		}
	}
	return ""
}

// ownIndex is Consul's index at which our instance was registered; 0: it is not, or is another member's.
func ownIndex(entries []handlers.Entry, me cluster.Master) uint64 {
	for _, e := range entries {
		if e.Node.Node == me.Node && e.Service.ID == me.ServiceID && e.ID() == me.ID {
			return e.Service.CreateIndex
		}
	}
	return 0
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

// namesakeReason says that another agent of our id manages the server. A connection with our name that is older than ours is not
// enough, because any client can take that name. Consul must show an agent of our id, too. One that has just connected gets the
// time of a check's TTL to register. If two agents connect at the same moment, the one with the lower client id stays.
func (a *Announcer) namesakeReason(ctx context.Context, s *redis.Server, shown presence, now *start) string {
	n, err := s.OlderNamesakes(ctx)
	if err != nil && ctx.Err() == nil && now.clients.Changed(redis.Summary(err)) {
		a.Log.Warn("cannot list the clients of redis; a second resec with the same MEMBER_ID would not be noticed",
			"event", "clients_not_listed", "redis", s.Addr(), "err", err)
	}
	if n == 0 {
		now.namesakeSince = time.Time{}
		return ""
	}
	if now.namesakeSince.IsZero() {
		now.namesakeSince = time.Now()
	}
	if shown.hasMember(a.Me) || time.Since(now.namesakeSince) < a.Registrar.TTL() {
		return fmt.Sprintf("another resec named %q manages this redis already", a.Me.ID)
	}
	if now.namesakes.Changed("ignored") {
		a.Log.Warn("a client of redis has the name of this agent's connections, and consul shows no agent of this MEMBER_ID; "+
			"the client is ignored", "event", "namesake_ignored", "redis", s.Addr(), "member", a.Me.ID)
	}
	return ""
}

// managedReason says that the live agent of another member manages that run of Redis, perhaps by another address.
func managedReason(v cluster.View, id, run string) string {
	for _, other := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		if key := v.LiveAgents[other]; other != id && key.Session != "" && key.RunID == run {
			return fmt.Sprintf("the agent of the live member %q manages this redis already; MEMBER_ID is %q here", other, id)
		}
	}
	return ""
}

// hasMember reports whether Consul shows a live agent of this member, or what one has left that was killed a moment ago.
func (p presence) hasMember(me cluster.Master) bool {
	for _, e := range p.entries {
		if e.ID() == me.ID && e.AgentStatus() != api.HealthCritical {
			return true
		}
	}
	return p.view.LiveAgents[me.ID].Session != "" || !p.view.Free() && p.view.Holder == me.ID
}

// idInUse says that another Redis is managed under our id: the published one, or that of the agent with our member key answers at
// its address. So the lock or the session under that id is not a predecessor's.
func (a *Announcer) idInUse(ctx context.Context, v cluster.View, runID string) string {
	key := v.LiveAgents[a.Me.ID]
	if key.Session != "" && a.answersAs(ctx, key.Address, key.RunID, runID) {
		return fmt.Sprintf("another redis, at %s, is managed under MEMBER_ID %q", key.Address, a.Me.ID)
	}
	m := v.State.Master
	if m != nil && m.ID == a.Me.ID && m.RunID != key.RunID && a.answersAs(ctx, m.Address, m.RunID, runID) {
		return fmt.Sprintf("another redis, at %s, is managed under MEMBER_ID %q", m.Address, a.Me.ID)
	}
	return ""
}

// answersAs reports whether that run of Redis answers at an address, and is not our own run.
func (a *Announcer) answersAs(ctx context.Context, addr, run, own string) bool {
	if run == "" || run == own || addr == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, otherRedisTimeout)
	defer cancel()
	there, err := handlers.Probe(ctx, a.Creds.At(addr))
	return err == nil && there.RunID == run
}
