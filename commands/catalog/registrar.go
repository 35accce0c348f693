package catalog

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// callTimeout bounds one call to Consul.
const callTimeout = 3 * time.Second

// timeout bounds a look and an update together while the check must be kept: of an interval, half until
// an update, a third for the try and a quarter at most until the next leave room for two more tries within the check's TTL of two
// intervals (½ + ⅓ + ¼ + ⅓ + ¼ + ⅓ = 2). A registration comes on top where there is something new to register. An agent that is
// killed has at least 1½ intervals to be back and find its session.
// Before the first update, and once the check is over, there is nothing to keep.
func (r *Registrar) timeout() time.Duration {
	if r.expired() { // each call that is given up is carried out all the same, and the next one waits behind it
		return callTimeout
	}
	return min(callTimeout, r.Interval/3)
}

func (r *Registrar) expired() bool { return time.Since(r.lastUpdate) > r.TTL() }

// retryInterval is how soon a failed registration or update is tried again: Consul's return is seen within 1 s.
const retryInterval = 500 * time.Millisecond

// lateWriteWindow is how long after a call that failed the registration is looked at as often as that: for so long the call itself, on
// its way to a Consul that hung, may still be carried out.
const lateWriteWindow = 10 * time.Second

// replicaUpdateDelay is how long a replica goes on to be listed as it was, unless it is passing or critical from now on: for no longer than a
// take-over takes that nothing holds up. What all say at once of a master that is gone, and again of the next one's term, is in the
// way of what clients wait for, which is where that is: a Consul agent carries out one change after the other.
const replicaUpdateDelay = 300 * time.Millisecond

// defaultDeregisterTimeout bounds the removal at the end: it is a part of what is left to a process that is told to end.
const defaultDeregisterTimeout = 1200 * time.Millisecond

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
	// Bye is how long the removal at the end may take. nil: byeFor.
	DeregisterTimeout func() time.Duration

	lastVerified time.Time // when it was last seen to be registered as it should be: an update alone does not tell what somebody has changed
	staleSince   time.Time // since when what is said of a replica is old; zero: it is not
	lastUpdate   time.Time // when the last update that succeeded was sent, in this Run or the one before
	mu           sync.Mutex
	want         *Entry
	wake         chan struct{}
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
	case r.wakeChan() <- struct{}{}:
	default:
	}
}

func (r *Registrar) wakeChan() chan struct{} {
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

// holdBack is for how much longer what is listed may stay; for no longer than until the check's next update.
func (r *Registrar) holdBack(have *Entry, want Entry) time.Duration {
	if have == nil || have.Role != Replica || want.Role != Replica ||
		want.Status != have.Status && (have.Status != api.HealthPassing || want.Status != api.HealthWarning) ||
		want.Status == have.Status && want.Output == have.Output && have.sameService(want) {
		r.staleSince = time.Time{}
		return 0
	}
	if r.staleSince.IsZero() {
		r.staleSince = time.Now()
	}
	return min(replicaUpdateDelay-time.Since(r.staleSince), r.Interval/2-time.Since(r.lastUpdate))
}

// Run publishes what Set says until the context ends, then removes the instance.
func (r *Registrar) Run(ctx context.Context) error {
	var have *Entry // as Consul's agent has it; nil: not, or unknown
	tried, failing, failed := false, false, time.Time{}
	for {
		wait := r.Interval / 2
		if time.Since(failed) < lateWriteWindow {
			wait = min(retryInterval, wait)
		}
		want, calm := r.wanted(), time.Duration(0)
		if want != nil {
			calm = r.holdBack(have, *want)
		}
		switch {
		case want == nil || ctx.Err() != nil:
		case calm > 0:
			wait = min(wait, calm)
		default:
			tried = true // a call that fails may have been carried out
			var err error
			if old := !r.lastUpdate.IsZero() && time.Since(r.lastUpdate) > r.Interval; r.Confirm != nil && (failing || old) {
				err = r.Confirm(ctx, *want)
			}
			if err == nil {
				err = r.publish(ctx, have, *want, failing && !r.lastUpdate.IsZero(), time.Since(failed) < lateWriteWindow)
			}
			if err != nil {
				failed = time.Now()
			}
			switch {
			case ctx.Err() != nil:
			case err != nil:
				if !failing {
					r.Log.Warn("consul does not take the registration; trying on", "err", err)
				}
				have, failing, wait = nil, true, min(retryInterval, r.Interval/4)
			default:
				if failing {
					r.Log.Info("registered again", "service", r.Naming.Name(want.Role))
				}
				have, failing, r.staleSince = want, false, time.Time{}
			}
		}
		select {
		case <-ctx.Done():
			if !tried {
				return nil
			}
			return r.deregisterAtEnd(context.WithoutCancel(ctx), time.Since(failed) < lateWriteWindow)
		case <-r.wakeChan():
		case <-time.After(wait):
		}
	}
}
