package cluster

import (
	"time"

	"resec/handlers/redis"
)

// Term is one term of ours.
type Term struct {
	ID             string
	Session, RunID string // under which, and of which run of our Redis
	Index, Number  uint64 // in Consul; a view of an earlier index does not show it
	Since          time.Time
}

// EndReason is why a reign is over; release says what is written with the lock's release, nothing where it is lost already.
type EndReason struct {
	Release, Text string
	ParkRedis     bool // a Redis that was restarted is a new one: it may be empty, and accepts writes
	KeepLock      bool // the lock stays ours: something else is to be done with it
	ShuttingDown  bool // the agent leaves: another is to have it
}

func (e EndReason) String() string { return e.Text }

// TermEnded decides whether a reign is.
func TermEnded(k Snapshot, r Term) (EndReason, bool) {
	switch h := k.Health; {
	case k.View.Index >= r.Index && k.View.Free():
		return EndReason{Text: "the lock is lost, and free"}, true
	case k.View.Index >= r.Index && k.View.Session != r.Session:
		return EndReason{Text: "the lock is held by " + k.View.Holder}, true
	case k.View.Index >= r.Index && (k.View.State.Term() != r.Number || k.View.Holder != r.ID || k.View.State.Master.RunID != r.RunID):
		return EndReason{Text: "the lock or the state does not name us any more: somebody has changed it"}, true
	case k.View.Index >= r.Index && k.View.FromLastKnown:
		return EndReason{Text: "the state was deleted or damaged by hand: it is published anew", KeepLock: true}, true
	case k.Paused: // whatever our Redis is made to do
	case redis.Refused(h.Err):
		return EndReason{Release: WhyDead, Text: "redis is gone"}, true
	case redis.Unreachable(h.Err):
		return EndReason{Release: WhyFrozen, Text: "redis is frozen: " + redis.Summary(h.Err)}, true
	case h.Err != nil:
		return EndReason{Release: WhyUnhealthy, Text: "redis is unusable: " + redis.Summary(h.Err)}, true
	case h.Status.RunID != r.RunID:
		return EndReason{Release: WhyDead, Text: "redis was restarted: it is a new one", ParkRedis: true}, true
	case k.View.Index >= r.Index && k.View.Request.Active() && (k.View.Request.To == r.ID || OtherRequested(k, r.ID)):
		return EndReason{Text: "an operator wants " + k.View.Request.To, KeepLock: true}, true
	case h.At.After(r.Since) && !h.Status.Master:
		return EndReason{Release: WhyUnhealthy, Text: "redis was made a replica of " + h.Status.MasterAddr}, true
	}
	return EndReason{}, false
}
