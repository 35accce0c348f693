package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// checkName is the name of the check that people see.
const checkName = "resec"

// publish registers the service if it is new or has changed, and updates the check: a registration alone does not end a critical
// check.
func (r *Registrar) publish(ctx context.Context, want Entry) error {
	now := time.Now()
	plan := r.known.plan(want, now)
	registered, deadline := plan.registered, now.Add(r.known.callTimeout(now))
	if plan.verifyFirst && !(plan.registered && len(r.inFlight.unanswered) > 0) {
		diff, err := r.read(ctx, want, now.Add(plan.readTimeout))
		matches := err == nil && diff == ""
		late := plan.registered && errors.Is(err, errLate) // the check must not wait for an answer that tells little
		if err != nil && !isAnswer(err) && !late {         // a frozen Consul would carry out later all that is written to it now
			return fmt.Errorf("read service %s: %w", r.ID, err)
		}
		registered = matches || registered && err != nil // an answer with an error says nothing new: the update will tell
		if plan.registered && diff != "" {
			r.logChanged(diff)
		}
		if matches {
			r.known.lastVerified = time.Now()
		}
		if plan.newDeadline || late {
			deadline = time.Now().Add(r.known.callTimeout(time.Now()))
		}
	}
	if !registered {
		return r.registerAndUpdate(ctx, want)
	}
	err := r.update(ctx, want, deadline)
	if isStatus(err, http.StatusNotFound) {
		if plan.registered {
			r.logChanged(missing)
		}
		return r.registerAndUpdate(ctx, want)
	}
	return err
}

// logChanged logs that the Consul agent no longer has what was registered. A registration of ours that was carried out late, and
// an outage that is logged already, are no reason.
func (r *Registrar) logChanged(diff string) {
	if r.known.lateWritesPossible(time.Now()) || !r.changed.worthALine(diff, time.Now()) {
		return
	}
	r.Log.Warn("the consul agent does not have this member as it was registered: something else has changed that, or the consul "+
		"agent has lost its data; the member is registered again", "event", "registration_corrected", "id", r.ID, "difference", diff)
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
	r.known.sent = &e
	deadline := time.Now().Add(r.known.callTimeout(time.Now()))
	err := r.call(context.WithoutCancel(ctx), registerCall, deadline, func(ctx context.Context) error {
		return r.Client.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
			ID: r.ID, Name: r.Naming.Name(e.Role), Tags: r.Naming.Tags(e.Role), Address: r.hostOf(e), Port: r.Port, Meta: e.Meta,
			Check: &api.AgentServiceCheck{
				CheckID: r.CheckID(), Name: checkName, TTL: r.TTL().String(), Status: e.Status,
				DeregisterCriticalServiceAfter: r.DeregisterAfter.String(),
			},
		}, api.ServiceRegisterOpts{}.WithContext(ctx))
	})
	if err != nil && !errors.Is(err, errLate) {
		r.known.sent = nil
	}
	if err != nil {
		return fmt.Errorf("register service %s: %w", r.ID, err)
	}
	return nil
}

// read returns what is different in the Consul agent's service from e; empty: nothing is.
func (r *Registrar) read(ctx context.Context, e Entry, deadline time.Time) (diff string, err error) {
	found := make(chan *api.AgentService, 1)
	err = r.call(ctx, readCall, deadline, func(ctx context.Context) error {
		s, _, err := r.Client.Agent().Service(r.ID, (&api.QueryOptions{}).WithContext(ctx))
		found <- s
		return err
	})
	if err != nil {
		return "", err
	}
	return r.Naming.serviceDifference(<-found, e, r.hostOf(e), r.Port), nil
}

// update updates the check. It returns errUnanswered if the answer may still come.
func (r *Registrar) update(ctx context.Context, e Entry, deadline time.Time) error {
	sent := time.Now()
	limit, unanswered := r.known.maxUnanswered(sent), r.inFlight.count(updateCall)
	if limit > 0 && unanswered >= limit {
		if r.known.slow(sent) {
			return errUnanswered
		}
		return fmt.Errorf("update check %s: %w", r.CheckID(), errLate)
	}
	err := r.call(ctx, updateCall, deadline, func(ctx context.Context) error {
		return r.Client.Agent().UpdateTTLOpts(r.CheckID(), e.Output, e.Status, (&api.QueryOptions{}).WithContext(ctx))
	})
	if errors.Is(err, errLate) && limit > 0 {
		return errUnanswered
	}
	if err != nil {
		return fmt.Errorf("update check %s: %w", r.CheckID(), err)
	}
	r.updated(sent)
	return nil
}

// ShowWaiting registers the service of a process that waits until it may be the member. The entry's check is critical, and stays
// so without updates. Run replaces the entry. It must not be called during Run.
func (r *Registrar) ShowWaiting(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithCancel(ctx)
	r.inFlight = newCalls(ctx)
	defer func() { // Run begins as if nothing was registered
		r.inFlight.end(cancel)
		r.inFlight, r.known = nil, registration{}
	}()
	return r.registerAndUpdate(ctx, e)
}

// HideWaiting removes the service of ShowWaiting.
func (r *Registrar) HideWaiting(ctx context.Context) error { return r.deregister(ctx) }

// deregisterAtEnd deregisters the instance, and again after a pause if a registration that failed may still be carried out. It
// returns an error if the last of these calls fails.
func (r *Registrar) deregisterAtEnd(ctx context.Context) error {
	if r.MayBeAnothers != nil && r.MayBeAnothers() && r.becomesAnothers(ctx) {
		return nil
	}
	lateWrites, end := r.known.lateWritesPossible(time.Now()), time.Now().Add(r.deregisterTimeout())
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

// deregisterTimeout returns how long the deregistration at the end may take.
func (r *Registrar) deregisterTimeout() time.Duration {
	if r.DeregisterTimeout == nil {
		return defaultDeregisterTimeout
	}
	return r.DeregisterTimeout()
}

// becomesAnothers reports whether another process registers the same instance under its own member id. Each reads its
// registration back once an interval, so that is seen by then. A deregistration would end the other one's session, too. A process
// that is asked to stop meanwhile waits no longer than a deregistration may take.
func (r *Registrar) becomesAnothers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, r.Interval+retryInterval)
	defer cancel()
	for began := time.Now(); ; {
		if r.isAnothers(ctx) {
			return true
		}
		if r.Leaving != nil && r.Leaving() && time.Since(began) >= r.deregisterTimeout() {
			return false
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
