package catalog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/handlers"
)

// defaultDeregisterTimeout bounds the deregistration at the end. It is a part of the time that a process has from SIGTERM.
const defaultDeregisterTimeout = 1200 * time.Millisecond

// Entry is what is published about a member.
type Entry struct {
	Role   Role
	Node   string // of the Consul agent by now; empty: Registrar.Node
	Host   string // at which the member is registered if Registrar.Host is empty; empty: the node's address
	Meta   map[string]string
	Status string // of the check: api.HealthPassing, HealthWarning or HealthCritical
	Output string // of the check: one short line
}

// sameService reports whether both have the same service definition; their checks may differ.
func (e Entry) sameService(o Entry) bool {
	return e.Role == o.Role && e.Host == o.Host && maps.Equal(e.Meta, o.Meta)
}

func (e Entry) equal(o Entry) bool {
	return e.sameService(o) && e.Node == o.Node && e.Status == o.Status && e.Output == o.Output
}

// Registrar keeps one service instance and its TTL check as they should be. Set may be called by any goroutine; all else belongs
// to the goroutine of Run.
type Registrar struct {
	Client          *api.Client
	Naming          Naming
	ID              string        // of the service instance
	Node            string        // of the Consul agent; empty: what Consul's servers show is not compared
	Host            string        // empty: the node's address
	Port            int           //
	Interval        time.Duration // the check is updated every half of it
	DeregisterAfter time.Duration // Consul deregisters the instance if it is critical for this long
	Log             *slog.Logger
	// Updated is called by Run after each successful update of the check: when it was sent, and the check's TTL. May be nil.
	Updated func(sent time.Time, ttl time.Duration)
	// Confirm is called by Run before it publishes an entry after an outage of Consul, because the entry may be outdated by then.
	// An error puts the publication off until the next attempt. May be nil.
	Confirm func(ctx context.Context, e Entry) error
	// MayBeAnothers reports at the end whether another process may register the same instance. Then it is deregistered only if none
	// does within an interval. May be nil.
	MayBeAnothers func() bool
	// DeregisterTimeout returns how long the deregistration at the end may take. nil: defaultDeregisterTimeout.
	DeregisterTimeout func() time.Duration
	// Leaving reports whether the process was asked to stop. Then DeregisterTimeout also bounds the wait of MayBeAnothers. May be
	// nil.
	Leaving func() bool

	wanted    wantedEntry  // from Set to Run
	published published    // from Run to its comparing goroutine
	criticals criticals    // from Set to ForeignCheck
	known     registration // Run's alone
	failure   logonce.Once // Run's alone
	changed   comparison   // Run's alone
	inFlight  *calls       // Run's alone
}

// nodeOf returns the node on whose Consul agent an entry is registered.
func (r *Registrar) nodeOf(e Entry) string { return cmp.Or(e.Node, r.Node) }

// hostOf returns the host at which an entry is registered; empty: the node's address.
func (r *Registrar) hostOf(e Entry) string { return cmp.Or(r.Host, e.Host) }

// CheckID returns the id of the instance's TTL check.
func (r *Registrar) CheckID() string { return handlers.AgentCheckID(r.ID) }

// TTL returns the TTL of the check: two intervals. A killed agent has at least 1½ intervals to restart and find its session.
func (r *Registrar) TTL() time.Duration { return registration{interval: r.Interval}.ttl() }

// Set hands over what Run publishes from now on. It does not block.
func (r *Registrar) Set(e Entry) {
	r.criticals.add(e)
	r.wanted.set(e)
}

// Forget forgets what Set handed over, so that Run publishes nothing before the next Set. It must not be called during Run.
func (r *Registrar) Forget() { r.wanted.forget() }

// Run publishes the entry of the last Set until the context ends, then deregisters the instance. Meanwhile a goroutine of its
// compares what Consul's servers show (compare.go), and Run joins it before the deregistration. Run returns an error if that
// fails; an error before is logged, and the attempt repeated. Run may be called again after it has returned.
func (r *Registrar) Run(ctx context.Context) error {
	r.known = registration{interval: r.Interval, lastUpdate: r.known.lastUpdate}
	r.failure.Reset()
	r.published.set(nil)
	under, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.inFlight = newCalls(under)
	var comparing sync.WaitGroup
	comparing.Go(func() { r.keepListed(ctx) })
	for ctx.Err() == nil {
		r.pause(ctx, r.step(ctx))
	}
	r.inFlight.end(cancel)
	comparing.Wait() // it must not write after the deregistration
	if !r.known.attempted {
		return nil
	}
	return r.deregisterAtEnd(context.WithoutCancel(ctx))
}

// pause waits until it is time for the next step, another entry is wanted, or a late answer shows that Consul is slow.
func (r *Registrar) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wanted.changed():
			return
		case <-timer.C:
			return
		case <-r.inFlight.answered:
			if r.takeLate(time.Now()) {
				return
			}
		}
	}
}

// step makes one decision, carries it out, and returns how long to wait for the next.
func (r *Registrar) step(ctx context.Context) (wait time.Duration) {
	want := r.wanted.entry()
	if want == nil {
		return r.Interval / 2
	}
	r.takeLate(time.Now())
	next := r.known.decide(*want, time.Now())
	r.known.staleSince = next.staleSince
	if !next.publish {
		return next.wait
	}
	r.known.attempted = true
	r.published.begin(*want)
	err := r.confirmAndPublish(ctx, *want, next.confirmFirst)
	switch {
	case errors.Is(err, errLateAnswer):
		return 0
	case errors.Is(err, errUnanswered):
		r.known = r.known.published(*want)
		r.published.set(want)
		return min(retryInterval, r.Interval/4)
	}
	if err != nil {
		r.known, wait = r.known.failed(time.Now())
		r.published.set(nil)
		r.logFailure(ctx, err)
		return wait
	}
	r.known = r.known.published(*want)
	r.published.set(want)
	if ctx.Err() == nil && r.failure.Active() {
		r.Log.Info("service registered again", "event", "registered_again", "service", r.Naming.Name(want.Role), "id", r.ID)
	}
	r.failure.Reset()
	return next.wait
}

func (r *Registrar) confirmAndPublish(ctx context.Context, want Entry, confirmFirst bool) error {
	if confirmFirst && r.Confirm != nil {
		err := r.call(ctx, confirmCall, time.Now().Add(confirmTimeout), func(ctx context.Context) error { return r.Confirm(ctx, want) })
		if err != nil {
			return err
		}
	}
	return r.publish(ctx, want)
}

// logFailure logs the first of a series of failures, and each change between a denied access and any other cause: an outage ends
// by itself, a missing permission does not. A call that the end of the context has cut short is no failure.
func (r *Registrar) logFailure(ctx context.Context, err error) {
	cause := "unavailable"
	if isStatus(err, http.StatusForbidden) {
		cause = "access denied"
	}
	if ctx.Err() == nil && r.failure.Changed(cause) {
		r.Log.Warn("cannot register the service; retrying", "event", "register_failed", "id", r.ID, "err", err)
	}
}

// isStatus reports whether Consul answered with that HTTP status.
func isStatus(err error, code int) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == code
}

// wantedEntry passes the wanted entry to Run. The zero value is ready for use.
type wantedEntry struct {
	mu     sync.Mutex
	want   *Entry
	signal chan struct{} // made when it is first used
}

// set replaces the wanted entry, and wakes Run if the entry is different.
func (w *wantedEntry) set(e Entry) {
	w.mu.Lock()
	same := w.want != nil && w.want.equal(e)
	w.want = &e
	w.mu.Unlock()
	if !same {
		observable.Signal(w.changed())
	}
}

// forget makes no entry wanted.
func (w *wantedEntry) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.want = nil
}

// entry returns the wanted entry; nil: none was set yet.
func (w *wantedEntry) entry() *Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.want
}

// changed returns the channel that receives a signal when another entry is wanted.
func (w *wantedEntry) changed() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.signal == nil {
		w.signal = make(chan struct{}, 1)
	}
	return w.signal
}
