package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// publish registers the service if it is new or has changed, and updates the check: a registration alone does not end a critical
// check.
func (r *Registrar) publish(ctx context.Context, want Entry) error {
	now := time.Now()
	plan := r.known.plan(want, now)
	registered, deadline := plan.registered, now.Add(r.known.callTimeout(now))
	if plan.verifyFirst {
		matches, err := r.read(ctx, want, now.Add(plan.readTimeout))
		if err != nil && !isAnswer(err) { // a frozen Consul would carry out, when it continues, all that is written to it now
			return fmt.Errorf("read service %s: %w", r.ID, err)
		}
		registered = matches || registered && err != nil // an answer with an error says nothing new: the update will tell
		if matches {
			r.known.lastVerified = time.Now()
		}
		if plan.newDeadline {
			deadline = time.Now().Add(r.known.callTimeout(time.Now()))
		}
	}
	if !registered {
		return r.registerAndUpdate(ctx, want)
	}
	err := r.update(ctx, want, deadline)
	if isStatus(err, http.StatusNotFound) { // another client deregistered the service, or the Consul agent lost its data
		return r.registerAndUpdate(ctx, want)
	}
	return err
}

// registerAndUpdate registers the service and updates its check.
func (r *Registrar) registerAndUpdate(ctx context.Context, e Entry) error {
	r.known.lastVerified = time.Time{}
	if err := r.register(ctx, e); err != nil {
		return err
	}
	now := time.Now()
	return r.update(ctx, e, now.Add(r.known.callTimeout(now)))
}

// register registers the service. The end of the context does not cut the call short: Consul might carry it out after the
// deregistration that follows.
func (r *Registrar) register(ctx context.Context, e Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.known.callTimeout(time.Now()))
	defer cancel()
	err := r.Client.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: r.ID, Name: r.Naming.Name(e.Role), Tags: r.Naming.Tags(e.Role), Address: r.Host, Port: r.Port, Meta: e.Meta,
		Check: &api.AgentServiceCheck{
			CheckID: r.CheckID(), Name: "resec", TTL: r.TTL().String(), Status: e.Status,
			DeregisterCriticalServiceAfter: r.DeregisterAfter.String(),
		},
	}, api.ServiceRegisterOpts{}.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("register service %s: %w", r.ID, err)
	}
	return nil
}

// read reports whether the Consul agent has the service as e says.
func (r *Registrar) read(ctx context.Context, e Entry, deadline time.Time) (matches bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	s, _, err := r.Client.Agent().Service(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return false, err
	}
	return s.Service == r.Naming.Name(e.Role) && slices.Equal(s.Tags, r.Naming.Tags(e.Role)) && maps.Equal(s.Meta, e.Meta), nil
}

// update updates the check.
func (r *Registrar) update(ctx context.Context, e Entry, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	sent := time.Now()
	err := r.Client.Agent().UpdateTTLOpts(r.CheckID(), e.Output, e.Status, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("update check %s: %w", r.CheckID(), err)
	}
	r.known.lastUpdate = sent
	if r.Updated != nil {
		r.Updated(sent, r.TTL())
	}
	return nil
}

// deregisterAtEnd deregisters the instance, and again after a pause if a registration that failed may still be carried out. It
// returns an error if the last of these calls fails.
func (r *Registrar) deregisterAtEnd(ctx context.Context) error {
	if r.MayBeAnothers != nil && r.MayBeAnothers() && r.becomesAnothers(ctx) {
		return nil
	}
	timeout, lateWrites := defaultDeregisterTimeout, r.known.lateWritesPossible(time.Now())
	if r.DeregisterTimeout != nil {
		timeout = r.DeregisterTimeout()
	}
	end := time.Now().Add(timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	if err := r.deregister(ctx); err != nil || !lateWrites {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(repeatDelay(time.Until(end))):
	}
	return r.deregister(ctx)
}

// becomesAnothers reports whether another process registers the same instance under its own member id. Each reads its registration
// back once an interval, so that is seen by then. A deregistration would end the other one's session, too.
func (r *Registrar) becomesAnothers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, r.Interval+retryInterval)
	defer cancel()
	for {
		if r.isAnothers(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryInterval):
		}
	}
}

// isAnothers reports whether the instance is registered under another member's id.
func (r *Registrar) isAnothers(ctx context.Context) bool {
	want := r.wanted.entry()
	if want == nil || want.Meta["id"] == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, _, err := r.Client.Agent().Service(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	return err == nil && s.Meta["id"] != "" && s.Meta["id"] != want.Meta["id"]
}

// deregister deregisters the instance. It returns nil if Consul does not know it.
func (r *Registrar) deregister(ctx context.Context) error {
	err := r.Client.Agent().ServiceDeregisterOpts(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("deregister service %s: %w", r.ID, err)
	}
	return nil
}

// isAnswer reports whether Consul answered, with an error.
func isAnswer(err error) bool {
	var status api.StatusError
	return errors.As(err, &status)
}
