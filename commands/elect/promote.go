package elect

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// promote makes our Redis the master and publishes it. It returns the errors of the take-over or of the handler.
func (e *Election) promote(ctx context.Context, s *lock.Session, v cluster.View) (cluster.View, error) {
	t := takeover.Takeover{Lock: e.Lock, Session: s, Log: e.Log,
		Self: takeover.Self{Me: e.me(), Service: e.Naming.Name(catalog.Master), Redis: e.Redis, Creds: e.Creds}}
	if e.Registrar != nil { // otherwise nobody may be listed, and the token need not suffice
		t.Evidence.ReadCatalog = e.readCatalog
	}
	if e.Handler != nil {
		return e.promoteByHandler(ctx, t, v)
	}
	var err error
	if t.Evidence.FollowsUnnamed, err = e.followsUnnamed(ctx, v); err != nil {
		return v, err
	}
	done, err := t.Run(ctx, v)
	e.background.Go(done.Wait)
	if err != nil {
		return done.View, err
	}
	e.term = done.View.State.Term()
	e.known.Update(func(k *snapshot) { k.promotedAt = time.Now() })
	e.Log.Info("redis is promoted and published as master", "event", "promoted", "redis", e.Redis.Addr(), "term", e.term)
	return done.View, nil
}

// refusedReason returns why the built-in promote cannot promote our Redis, because that refuses a command; empty if it can, or if
// that is unknown. A handler needs no command of ours.
func (e *Election) refusedReason(ctx context.Context) string {
	if e.Handler != nil {
		return ""
	}
	refused, err := e.Redis.TryCommands(ctx)
	if err != nil || refused.Lead() == "" {
		return ""
	}
	return "redis cannot be made master: " + refused.Lead()
}

// unnamedReason returns why our Redis must not be promoted: it replicates from a server that answers and that nothing of this
// cluster names. It is empty if it may be, or if a handler of the operator's decides. It returns why that is unknown, too.
func (e *Election) unnamedReason(ctx context.Context, k snapshot) string {
	if e.Handler != nil {
		return ""
	}
	unnamed, err := e.followsUnnamed(ctx, k.View)
	if err != nil {
		return lock.ErrorKind(err)
	}
	addr := k.Health.Status.MasterAddr
	if !unnamed {
		return ""
	}
	if _, err := handlers.Probe(ctx, e.Creds.At(addr)); !redis.Replied(err) {
		return ""
	}
	return cluster.UnnamedReason(addr)
}

// followsUnnamed is cluster.FollowsUnnamed by the catalogue as it is now. It returns an error if Consul does not answer.
func (e *Election) followsUnnamed(ctx context.Context, v cluster.View) (bool, error) {
	own := e.known.Load().Health.Status
	if !cluster.FollowsUnnamed(v, own, nil) {
		return false, nil
	}
	entries, err := e.Naming.Instances(ctx, e.Lock.Client)
	if err != nil {
		return false, err
	}
	return cluster.FollowsUnnamed(v, own, cluster.Members(entries, v)), nil
}

// promoteByHandler invokes the promote handler, and publishes afterwards unless the handler is a child.
func (e *Election) promoteByHandler(ctx context.Context, t takeover.Takeover, v cluster.View) (cluster.View, error) {
	ev := handlers.Event{Type: handlers.TypePromote, Term: v.State.Term() + 1, Previous: previous(v)}
	e.term = ev.Term
	bounded, cancel := handlers.WithTimeout(ctx, e.HandlerTimeout)
	defer cancel()
	if err := e.invoke(bounded, ev); err != nil || e.Child {
		return v, err
	}
	st, err := e.Redis.Status(ctx)
	if err != nil {
		e.Log.Warn("cannot read the status of the redis that the handler promoted; publishing it without its run id",
			"event", "published_without_run_id", "redis", e.Redis.Addr(), "term", e.term, "err", err)
	}
	return t.Publish(ctx, v, st, cluster.MinReplicas{Replicas: cluster.GuardOff})
}

func previous(v cluster.View) *handlers.Peer {
	if v.State.Master == nil {
		return nil
	}
	return &v.State.Master.Peer
}

func (e *Election) invoke(ctx context.Context, ev handlers.Event) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return fmt.Errorf("encode the %s event: %w", ev.Type, err)
	}
	return e.Handler.Handle(ctx, data, "CONSUL_LOCK_HELD=true")
}

// fence makes our Redis refuse writes, with the handler if there is one, within fenceTime. A child needs no fence: it has ended.
func (e *Election) fence(ctx context.Context, why string) error {
	if c, ok := e.Handler.(*handlers.Command); ok { // what the promote handler left running may still be writing
		c.End()
		defer c.End()
	}
	if e.Child {
		return nil
	}
	ctx, cancel := e.stop.within(ctx, e.fenceTime(), fenceTimeout, minFenceTime)
	defer cancel()
	var err error
	if e.Handler != nil {
		err = e.invoke(ctx, handlers.Event{Type: handlers.TypeFence, Term: e.term, Reason: why})
	} else if err = e.Redis.Fence(ctx); redis.Refused(err) { // a Redis that is down accepts no writes
		err = nil
	}
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return nil
}
