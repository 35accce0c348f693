package elect

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// registration is the master service in Consul's catalogue. The nil registration is none.
type registration struct {
	registrar *catalog.Registrar
	term      uint64
	entry     catalog.Entry
	stop      func() // ends the registrar, and waits for it
}

// register demotes older entries of the master service, and registers ours until the registration's end. It outlives ctx, which
// bounds the demotion.
func (e *Election) register(ctx context.Context, s *lock.Session, term uint64) *registration {
	if err := e.Naming.Demote(ctx, e.Lock.Client, e.me().Node, e.Me.ServiceID); err != nil && ctx.Err() == nil {
		e.Log.Warn("cannot demote older entries of the master service; they stay in the catalogue",
			"event", "demote_entries_failed", "err", err)
	}
	st := e.known.Load().Health.Status
	r := &registration{registrar: e.Registrar, term: term,
		entry: catalog.Entry{Role: catalog.Master, Meta: catalog.Meta(e.Me.ID, term, st.Version)}}
	r.registrar.Confirm = func(ctx context.Context, entry catalog.Entry) error { return e.confirm(ctx, s, entry) }
	r.show(st, e.known.Load().place)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.registrar.Run(ctx); err != nil {
			e.Log.Warn("cannot deregister the service; it stays in the catalogue until its check has been critical for long",
				"event", "deregister_failed", "service_id", e.Me.ServiceID, "err", err)
		}
	}()
	r.stop = func() { stop(); <-done }
	return r
}

// confirm returns nil if a master's entry may still be registered, or corrected in the catalogue: our session holds the lock. It
// returns lock.ErrNotHolder otherwise, and the error of Consul if it does not answer.
func (e *Election) confirm(ctx context.Context, s *lock.Session, entry catalog.Entry) error {
	if entry.Status == api.HealthCritical { // it is withdrawn
		return nil
	}
	v, err := e.Lock.Read(ctx)
	if err == nil && v.Session != s.ID {
		return lock.ErrNotHolder
	}
	return err
}

// show registers the service at that place. The check is a warning while our Redis refuses writes.
func (r *registration) show(st redis.Status, at cluster.Place) {
	if r == nil {
		return
	}
	text := fmt.Sprintf("master, term %d", r.term)
	r.entry.Node, r.entry.Host = at.Node, at.KeptHost
	r.entry.Status, r.entry.Output = api.HealthPassing, text
	if why := st.Refusing(); why != "" {
		r.entry.Status, r.entry.Output = api.HealthWarning, text+": it refuses writes: "+why
	}
	r.registrar.Set(r.entry)
}

// withdraw makes the check critical, so that clients are not sent to this Redis any more. It does not wait for Consul.
func (r *registration) withdraw() {
	if r == nil {
		return
	}
	r.entry.Status, r.entry.Output = api.HealthCritical, "the lock is lost or released: redis is fenced"
	r.registrar.Set(r.entry)
}

// end removes the service, within the registrar's own timeout.
func (r *registration) end() {
	if r != nil {
		r.stop()
	}
}
