package cluster

import (
	"errors"
	"time"

	"resec/handlers/redis"
)

// Term is one term of leadership of this agent.
type Term struct {
	ID      string // of this member
	Session string // that holds the lock
	RunID   string // of our Redis
	Index   uint64 // of Consul when the master was published: an earlier view does not show it
	Number  uint64 // the published term
	Since   time.Time
}

// EndReason is why a term is over and what happens next.
type EndReason struct {
	Release      string // State.Why to write when the lock is released; empty: the lock is lost, or no reason is written
	Text         string // for logs
	ParkRedis    bool   // Redis restarted during the term. It may be empty and writable: park it before the lock is released
	KeepLock     bool   // this agent keeps the lock for something else
	ShuttingDown bool   // the agent stops: another member is to lead
	HandOverTo   string // id of the member that serves clients instead of our Redis; with KeepLock
}

func (e EndReason) String() string { return e.Text }

// TermEnded reports whether a term is over, and why. A lost lock comes first. A pause ignores everything that happens to our
// Redis. Views older than the term prove nothing. A Consul that went back in time proves nothing either: the term continues until
// the lock is ours again, or our session is lost.
func TermEnded(k Snapshot, t Term) (EndReason, bool) {
	current := k.Fresh && !k.View.WentBack && k.View.Index >= t.Index
	if current {
		if end := lockLost(k, t); end.Text != "" {
			return end, true
		}
	}
	if k.Paused {
		return EndReason{}, false
	}
	if end := redisFailed(k.Health, t.RunID); end.Text != "" {
		return end, true
	}
	if r := k.View.Request; current && r.Active() && (r.To == t.ID || OtherRequested(k, t.ID)) {
		return EndReason{Text: requestedReason(k), KeepLock: true}, true
	}
	if st := k.Health.Status; k.Health.At.After(t.Since) && !st.Master {
		return EndReason{Release: WhyUnhealthy, Text: "redis was made a replica of " + st.MasterAddr}, true
	}
	return EndReason{}, false
}

// lockLost returns why a current view ends a term: the lock or the state changed. Empty: neither did. A state of a newer version
// ends no term, because it cannot be read.
func lockLost(k Snapshot, t Term) EndReason {
	switch v := k.View; {
	case v.Free():
		return EndReason{Text: "the lock was lost and is free"}
	case v.Session != t.Session:
		return EndReason{Text: "the lock is held by " + v.Holder}
	case errors.Is(v.Err, ErrNewerVersion):
		return EndReason{}
	case !namesTerm(v, t):
		return EndReason{Text: "the lock or the state no longer names this agent: it was changed by hand"}
	case v.FromLastKnown:
		return EndReason{Text: "the state was deleted or damaged by hand: publishing it again", KeepLock: true}
	}
	return EndReason{}
}

// namesTerm reports whether lock and state name the term's member, number and instance.
func namesTerm(v View, t Term) bool {
	m := v.State.Master
	return m != nil && m.Term == t.Number && m.RunID == t.RunID && v.Holder == t.ID
}

// redisFailed returns why the health of our Redis ends a term. Empty: it does not.
func redisFailed(h redis.Health, runID string) EndReason {
	switch {
	case redis.Refused(h.Err):
		return EndReason{Release: WhyDead, Text: "redis is down"}
	case redis.Unreachable(h.Err):
		return EndReason{Release: WhyFrozen, Text: "redis is unreachable: " + redis.Summary(h.Err)}
	case h.Err != nil:
		return EndReason{Release: WhyUnhealthy, Text: "redis is unusable: " + redis.Summary(h.Err)}
	case h.Status.RunID != runID:
		return EndReason{Release: WhyDead, Text: "redis was restarted: it is a new instance", ParkRedis: true}
	}
	return EndReason{}
}
