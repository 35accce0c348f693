package catalog

import (
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// callTimeout bounds one call to Consul.
	callTimeout = 3 * time.Second

	// confirmTimeout bounds Confirm, which makes one call.
	confirmTimeout = callTimeout + time.Second

	// retryInterval is the longest time until a failed registration or update is tried again, so that the end of an outage is
	// seen within 1 s.
	retryInterval = 500 * time.Millisecond

	// lateWriteWindow is how long after a failed call Consul may still carry that call out: a call that a frozen Consul agent has
	// received is executed when the agent continues. So long the registration is read back at each retryInterval.
	lateWriteWindow = 10 * time.Second

	// replicaUpdateDelay bounds how long a replica's update is held back. A Consul agent executes one write after the other. During
	// a failover the updates of the replicas (link down, then the new term) would delay the new master's registration. An
	// undisturbed takeover takes less than this.
	replicaUpdateDelay = 300 * time.Millisecond
)

// registration is what Run knows about the service instance and its check. Its methods decide what Run does next; they are pure,
// and now is the present time.
type registration struct {
	interval     time.Duration // the check is updated every half of it
	listed       *Entry        // as the Consul agent has it; nil: not registered, or unknown
	sent         *Entry        // as it was sent last, and was not rejected; nil: nothing was sent
	attempted    bool          // something was sent in this Run; even if it failed it may have been carried out
	failing      bool          // the last attempt failed
	lastFailure  time.Time     // of an attempt in this Run
	lastVerified time.Time     // when the service was last read back and matched; zero: it was registered anew since then
	lastUpdate   time.Time     // when the last successful update of the check was sent, in this Run or an earlier one
	slowUntil    time.Time     // until then Consul counts as slow, because it has answered late
	staleSince   time.Time     // since when the wanted entry differs from the listed one and may wait; zero: it does not
}

// ttl returns the check's TTL of two intervals: one update may fail, and be tried again, before the check turns critical.
func (s registration) ttl() time.Duration { return 2 * s.interval }

// checkExpired reports whether the check's TTL has run out since the last update, or there was none.
func (s registration) checkExpired(now time.Time) bool { return now.Sub(s.lastUpdate) > s.ttl() }

// lateWritesPossible reports whether Consul may still carry out a call that has failed.
func (s registration) lateWritesPossible(now time.Time) bool {
	return now.Sub(s.lastFailure) < lateWriteWindow
}

// registeredBefore reports whether the instance was registered once, and the last attempt failed: it may be registered now.
func (s registration) registeredBefore() bool { return s.failing && !s.lastUpdate.IsZero() }

// callTimeout returns the time of one read and update together. While the check must be kept it is a third of an interval at
// most, so that an update and two retries fit into the TTL of two intervals. Half an interval passes until the update. Each of
// the three calls takes a third, and a quarter passes before each retry: ½ + ⅓ + ¼ + ⅓ + ¼ + ⅓ = 2. A registration comes on top,
// if one is due. Before the first update, and after the TTL, no deadline has to be met, and the call gets more time. Consul would
// carry out a call that was given up all the same, and the next call would wait behind it.
func (s registration) callTimeout(now time.Time) time.Duration {
	if s.checkExpired(now) && !s.slow(now) {
		return callTimeout
	}
	return min(callTimeout, s.interval/3)
}

// decision is what Run does next.
type decision struct {
	publish      bool          // register or update now; otherwise only wait
	confirmFirst bool          // ask Confirm before publishing
	wait         time.Duration // until the next decision, unless publishing fails or another entry is wanted
	staleSince   time.Time     // the new registration.staleSince
}

// decide returns what Run does next if want is to be published.
func (s registration) decide(want Entry, now time.Time) decision {
	wait := s.interval / 2
	if s.lateWritesPossible(now) {
		wait = min(retryInterval, wait)
	}
	holdBack, staleSince := s.holdBack(want, now)
	if holdBack > 0 {
		return decision{wait: min(wait, holdBack), staleSince: staleSince}
	}
	return decision{publish: true, confirmFirst: s.confirmFirst(now), wait: wait, staleSince: staleSince}
}

// confirmFirst reports whether the wanted entry may be outdated: Consul did not answer, or the process was suspended for longer
// than an interval. The updates of a slow Consul are answered late.
func (s registration) confirmFirst(now time.Time) bool {
	limit := s.interval
	if s.slow(now) {
		limit = s.ttl()
	}
	overdue := !s.lastUpdate.IsZero() && now.Sub(s.lastUpdate) > limit
	return s.failing || overdue
}

// holdBack returns for how much longer the listed entry may stay (not positive: publish now), and since when it is outdated. It
// stays for replicaUpdateDelay at most, and no longer than until the check's next update.
func (s registration) holdBack(want Entry, now time.Time) (left time.Duration, staleSince time.Time) {
	if s.listed == nil || !mayWait(*s.listed, want) {
		return 0, time.Time{}
	}
	staleSince = s.staleSince
	if staleSince.IsZero() {
		staleSince = now
	}
	return min(replicaUpdateDelay-now.Sub(staleSince), s.interval/2-now.Sub(s.lastUpdate)), staleSince
}

// mayWait reports whether a change may be held back: a replica's new metadata or output, and its change from passing to warning.
// A replica that becomes passing or critical, a master and a change of role are published at once.
func mayWait(listed, want Entry) bool {
	if listed.Role != Replica || want.Role != Replica {
		return false
	}
	if want.Status == listed.Status {
		return !listed.equal(want)
	}
	return listed.Status == api.HealthPassing && want.Status == api.HealthWarning
}

// publication is how an entry is published.
type publication struct {
	registered  bool          // the service is believed to be registered as wanted: an update of the check is enough
	verifyFirst bool          // read the service back before writing
	readTimeout time.Duration // of that read
	newDeadline bool          // after the read the update has a timeout of its own; otherwise both share one
}

// plan returns how want is published. The service is read back once an interval, because an update of the check does not show
// that another client changed or removed the service. It is also read back after a failed call, because Consul may have carried
// it out or may still do so. After a failure the read has more time: a slow Consul that still answers is not sent the same write
// again. A Consul that is known to be slow is not read: the update must not wait for that. Nor is it if it has rejected what was
// sent last: nothing is under way that a read could find.
func (s registration) plan(want Entry, now time.Time) publication {
	p := publication{registered: s.listed != nil && s.listed.sameService(want), readTimeout: s.callTimeout(now)}
	lateWrites, registeredBefore := s.lateWritesPossible(now), s.registeredBefore()
	if registeredBefore {
		p.readTimeout = min(callTimeout, 2*p.readTimeout)
	}
	due := lateWrites || now.Sub(s.lastVerified) >= s.interval
	rejected := s.sent == nil && s.slow(now)
	p.verifyFirst = registeredBefore && !rejected || p.registered && due && !s.slow(now)
	p.newDeadline = registeredBefore || lateWrites
	return p
}

// failed returns the registration after a failed attempt, and how long to wait until the next one.
func (s registration) failed(now time.Time) (after registration, wait time.Duration) {
	s.listed, s.failing, s.lastFailure = nil, true, now
	return s, min(retryInterval, s.interval/4)
}

// published returns the registration after e was published.
func (s registration) published(e Entry) registration {
	s.listed, s.sent, s.failing, s.staleSince = &e, &e, false, time.Time{}
	return s
}

// repeatDelay returns how long to wait before the second deregistration, if so much of the shutdown's time remains. It is no
// longer than half of that, so that the second call has as much.
func repeatDelay(remaining time.Duration) time.Duration { return min(retryInterval, remaining/2) }
