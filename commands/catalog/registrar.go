package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// callTimeout bounds one call to Consul.
const callTimeout = 3 * time.Second

// timeout bounds a call while the check must be kept: of an interval, half until an update, a third for the call and a
// quarter at most until the next leave room for two more tries within the check's TTL of two intervals
// (½ + ⅓ + ¼ + ⅓ + ¼ + ⅓ = 2). An agent that is killed has at least 1½ intervals to be back and find its session.
func (r *Registrar) timeout() time.Duration { return min(callTimeout, r.Interval/3) }

// retryEvery is how soon a failed registration or update is tried again: Consul's return is seen within 1 s.
const retryEvery = 500 * time.Millisecond

// Entry is what is published of a member.
type Entry struct {
	Role   Role
	Meta   map[string]string
	Status string // of the check: api.HealthPassing, HealthWarning or HealthCritical
	Output string // of the check: one short line
}

func (e Entry) sameService(o Entry) bool { return e.Role == o.Role && maps.Equal(e.Meta, o.Meta) }

// Registrar keeps one service instance and its TTL check as they should be.
type Registrar struct {
	Client          *api.Client
	Naming          Naming
	ID              string        // of the service instance
	Host            string        // empty: the node's address
	Port            int           //
	Interval        time.Duration // the check is updated each half of it
	DeregisterAfter time.Duration // critical for this long: Consul removes the instance
	Log             *slog.Logger
	// Updated is told when an update that succeeded was sent, and how long the check then lives. May be nil.
	Updated func(sent time.Time, ttl time.Duration)
	// Confirm is asked before an entry is published after a time in which Consul could not be spoken to: what was to be published
	// before may be wrong by now. An error puts it off. May be nil.
	Confirm func(ctx context.Context, e Entry) error

	mu   sync.Mutex
	want *Entry
	wake chan struct{}
}

// CheckID is the id of the instance's TTL check.
func (r *Registrar) CheckID() string { return "service:" + r.ID }

// TTL of the check is two intervals: one update may fail, and be tried again, before it ends.
func (r *Registrar) TTL() time.Duration { return 2 * r.Interval }

// Set says what shall be published from now on; Run carries it out.
func (r *Registrar) Set(e Entry) {
	r.mu.Lock()
	same := r.want != nil && r.want.sameService(e) && r.want.Status == e.Status && r.want.Output == e.Output
	r.want = &e
	r.mu.Unlock()
	if same {
		return
	}
	select {
	case r.poke() <- struct{}{}:
	default:
	}
}

func (r *Registrar) poke() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	return r.wake
}

func (r *Registrar) wanted() *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want
}

// Run publishes what Set says until the context ends, then removes the instance.
func (r *Registrar) Run(ctx context.Context) error {
	var have *Entry // as Consul's agent has it; nil: not, or unknown
	tried, failing, last := false, false, time.Time{}
	for {
		wait := r.Interval / 2
		if want := r.wanted(); want != nil {
			tried = true // a call that fails may have been carried out
			var err error
			if old := !last.IsZero() && time.Since(last) > r.Interval; r.Confirm != nil && (failing || old) {
				err = r.Confirm(ctx, *want)
			}
			if err == nil { // not cut short: Consul may register after the deregistration that follows
				err = r.publish(context.WithoutCancel(ctx), have, *want)
			}
			switch {
			case ctx.Err() != nil:
			case err != nil:
				if !failing {
					r.Log.Warn("consul does not take the registration; trying on", "err", err)
				}
				have, failing, wait = nil, true, min(retryEvery, r.Interval/4)
			default:
				if failing {
					r.Log.Info("registered again", "service", r.Naming.Name(want.Role))
				}
				have, failing, last = want, false, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			if !tried {
				return nil
			}
			return r.deregister(context.WithoutCancel(ctx))
		case <-r.poke():
		case <-time.After(wait):
		}
	}
}

// publish registers where the service itself is new or changed, and updates the check. A registration does not lift a
// critical check: the update does.
func (r *Registrar) publish(ctx context.Context, have *Entry, want Entry) error {
	if have == nil || !have.sameService(want) {
		if err := r.register(ctx, want); err != nil {
			return err
		}
	}
	err := r.update(ctx, want)
	if have != nil && gone(err) { // somebody deregistered us, or the agent lost its data
		if err = r.register(ctx, want); err == nil {
			err = r.update(ctx, want)
		}
	}
	return err
}

func (r *Registrar) register(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
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

func (r *Registrar) update(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	sent := time.Now()
	err := r.Client.Agent().UpdateTTLOpts(r.CheckID(), e.Output, e.Status, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("update check %s: %w", r.CheckID(), err)
	}
	if r.Updated != nil {
		r.Updated(sent, r.TTL())
	}
	return nil
}

func (r *Registrar) deregister(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := r.Client.Agent().ServiceDeregisterOpts(r.ID, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil && !gone(err) {
		return fmt.Errorf("deregister service %s: %w", r.ID, err)
	}
	return nil
}

func gone(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}
