package agent

import (
	"context"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// reign is one term of ours.
type reign struct {
	id           string
	session, run string // under which, and of which run of our Redis
	index, term  uint64 // in Consul; a view of an earlier index does not show it
	since        time.Time
}

// end is why a reign is over; release says what is written with the lock's release, nothing where it is lost already.
type end struct {
	release, text string
	park          bool // a Redis that was restarted is a new one: it may be empty, and accepts writes
	again         bool // the lock stays ours: something else is to be done with it
	leave         bool // the agent leaves: another is to have it
}

func (e end) String() string { return e.text }

// rule stays master until the lock is lost, our Redis is no longer the one that was promoted, or the agent leaves.
func (a *Agent) rule(ctx, held context.Context, r reign) end {
	for first := true; ; first = false {
		k, changed := a.board.Wait()
		if ctx.Err() != nil { // before we are listed: the old master may be still
			return end{leave: true, text: "the agent leaves"}
		}
		if e, over := over(k, r); over {
			return e
		}
		a.publish(k, r.term)
		if first {
			crash.At("registered")
		}
		select {
		case <-held.Done(): // leaving ends it, too
		case <-changed:
		}
		if held.Err() != nil && ctx.Err() == nil {
			return end{text: "the lock is lost"}
		}
	}
}

// over decides whether a reign is.
func over(k known, r reign) (end, bool) {
	switch h := k.health; {
	case k.view.Index >= r.index && k.view.Free():
		return end{text: "the lock is lost, and free"}, true
	case k.view.Index >= r.index && k.view.Session != r.session:
		return end{text: "the lock is held by " + k.view.Holder}, true
	case k.view.Index >= r.index && (k.view.State.Term() != r.term || k.view.Holder != r.id || k.view.State.Master.RunID != r.run):
		return end{text: "the lock or the state does not name us any more: somebody has changed it"}, true
	case k.view.Index >= r.index && k.view.Recalled:
		return end{text: "the state was deleted or damaged by hand: it is published anew", again: true}, true
	case k.paused: // whatever our Redis is made to do
	case redis.Refused(h.Err):
		return end{release: lock.WhyDead, text: "redis is gone"}, true
	case redis.Silent(h.Err):
		return end{release: lock.WhyFrozen, text: "redis is frozen: " + redis.Why(h.Err)}, true
	case h.Err != nil:
		return end{release: lock.WhyUnhealthy, text: "redis is unusable: " + redis.Why(h.Err)}, true
	case h.Status.RunID != r.run:
		return end{release: lock.WhyDead, text: "redis was restarted: it is a new one", park: true}, true
	case k.view.Index >= r.index && k.view.Request.Stands() && (k.view.Request.To == r.id || wanted(k, r.id)):
		return end{text: "an operator wants " + k.view.Request.To, again: true}, true
	case h.At.After(r.since) && !h.Status.Master:
		return end{release: lock.WhyUnhealthy, text: "redis was made a replica of " + h.Status.Of}, true
	}
	return end{}, false
}
