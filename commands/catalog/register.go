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

// publish registers where the service itself is new or changed, and updates the check. A registration does not lift a
// critical check: the update does. A call that was given up may be carried out later than its successors, or have been carried
// out: what is registered is looked at, and a Consul that has too much to do, but answers, is not given the same to do again.
func (r *Registrar) publish(ctx context.Context, have *Entry, want Entry, maybe, late bool) error {
	try, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	known := have != nil && have.sameService(want)
	if known && (late || time.Since(r.lastVerified) >= r.Interval) || maybe {
		look := try
		if maybe { // where it is slow, it is waited for: what it was told before it will do
			var done context.CancelFunc
			look, done = context.WithTimeout(ctx, min(callTimeout, 2*r.timeout()))
			defer done()
		}
		is, err := r.registered(look, want)
		if err != nil && !isHTTPError(err) { // what is written to a Consul that hangs is all carried out when it goes on, before what is meant then
			return fmt.Errorf("look at service %s: %w", r.ID, err)
		}
		if known = is || known && err != nil; is {
			r.lastVerified = time.Now()
		}
		if maybe || late { // each call has its time
			var done context.CancelFunc
			try, done = context.WithTimeout(ctx, r.timeout())
			defer done()
		}
	}
	if !known {
		return r.registerAndUpdate(ctx, want)
	}
	err := r.update(try, want)
	if isNotFound(err) { // somebody deregistered us, or the agent lost its data
		return r.registerAndUpdate(ctx, want)
	}
	return err
}

// registerAndUpdate registers, and updates the check.
func (r *Registrar) registerAndUpdate(ctx context.Context, e Entry) error {
	r.lastVerified = time.Time{}
	if err := r.register(ctx, e); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	return r.update(ctx, e)
}

// register is not cut short: Consul may register after the deregistration that follows.
func (r *Registrar) register(ctx context.Context, e Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout())
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

// registered tells whether Consul's agent has the service as it should be.
func (r *Registrar) registered(ctx context.Context, e Entry) (bool, error) {
	s, _, err := r.Client.Agent().Service(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	return err == nil && s.Service == r.Naming.Name(e.Role) && slices.Equal(s.Tags, r.Naming.Tags(e.Role)) && maps.Equal(s.Meta, e.Meta), err
}

func (r *Registrar) update(ctx context.Context, e Entry) error {
	sent := time.Now()
	err := r.Client.Agent().UpdateTTLOpts(r.CheckID(), e.Output, e.Status, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("update check %s: %w", r.CheckID(), err)
	}
	r.lastUpdate = sent
	if r.Updated != nil {
		r.Updated(sent, r.TTL())
	}
	return nil
}

// deregisterAtEnd removes the instance; again after a while where a registration that was given up may be carried out yet.
func (r *Registrar) deregisterAtEnd(ctx context.Context, late bool) error {
	bound := defaultDeregisterTimeout
	if r.DeregisterTimeout != nil {
		bound = r.DeregisterTimeout()
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := r.deregister(ctx)
	if err == nil && late {
		time.Sleep(retryInterval)
		err = r.deregister(ctx)
	}
	return err
}

func (r *Registrar) deregister(ctx context.Context) error {
	err := r.Client.Agent().ServiceDeregisterOpts(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("deregister service %s: %w", r.ID, err)
	}
	return nil
}

func isNotFound(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

func isHTTPError(err error) bool {
	var status api.StatusError
	return errors.As(err, &status)
}
