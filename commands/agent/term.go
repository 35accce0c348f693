package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/handlers/redis"
)

// leaderTerm is one term of ours.
type leaderTerm struct {
	id           string
	session, run string // under which, and of which run of our Redis
	index, term  uint64 // in Consul; a view of an earlier index does not show it
	since        time.Time
}

// endReason is why a reign is over; release says what is written with the lock's release, nothing where it is lost already.
type endReason struct {
	release, text string
	parkRedis     bool // a Redis that was restarted is a new one: it may be empty, and accepts writes
	keepLock      bool // the lock stays ours: something else is to be done with it
	shuttingDown  bool // the agent leaves: another is to have it
}

func (e endReason) String() string { return e.text }

// holdTerm stays master until the lock is lost, our Redis is no longer the one that was promoted, or the agent leaves.
func (a *Agent) holdTerm(ctx, held context.Context, r leaderTerm) endReason {
	for first := true; ; first = false {
		k, changed := a.known.Watch()
		if ctx.Err() != nil { // before we are listed: the old master may be still
			return endReason{shuttingDown: true, text: "the agent leaves"}
		}
		if e, over := termEnded(k, r); over {
			return e
		}
		a.advertise(k, r.term)
		if first {
			failpoint.Hit("registered")
		}
		select {
		case <-held.Done(): // leaving ends it, too
		case <-changed:
		}
		if held.Err() != nil && ctx.Err() == nil {
			return endReason{text: "the lock is lost"}
		}
	}
}

// termEnded decides whether a reign is.
func termEnded(k snapshot, r leaderTerm) (endReason, bool) {
	switch h := k.health; {
	case k.view.Index >= r.index && k.view.Free():
		return endReason{text: "the lock is lost, and free"}, true
	case k.view.Index >= r.index && k.view.Session != r.session:
		return endReason{text: "the lock is held by " + k.view.Holder}, true
	case k.view.Index >= r.index && (k.view.State.Term() != r.term || k.view.Holder != r.id || k.view.State.Master.RunID != r.run):
		return endReason{text: "the lock or the state does not name us any more: somebody has changed it"}, true
	case k.view.Index >= r.index && k.view.FromLastKnown:
		return endReason{text: "the state was deleted or damaged by hand: it is published anew", keepLock: true}, true
	case k.paused: // whatever our Redis is made to do
	case redis.Refused(h.Err):
		return endReason{release: cluster.WhyDead, text: "redis is gone"}, true
	case redis.Unreachable(h.Err):
		return endReason{release: cluster.WhyFrozen, text: "redis is frozen: " + redis.Summary(h.Err)}, true
	case h.Err != nil:
		return endReason{release: cluster.WhyUnhealthy, text: "redis is unusable: " + redis.Summary(h.Err)}, true
	case h.Status.RunID != r.run:
		return endReason{release: cluster.WhyDead, text: "redis was restarted: it is a new one", parkRedis: true}, true
	case k.view.Index >= r.index && k.view.Request.Active() && (k.view.Request.To == r.id || otherRequested(k, r.id)):
		return endReason{text: "an operator wants " + k.view.Request.To, keepLock: true}, true
	case h.At.After(r.since) && !h.Status.Master:
		return endReason{release: cluster.WhyUnhealthy, text: "redis was made a replica of " + h.Status.MasterAddr}, true
	}
	return endReason{}, false
}
