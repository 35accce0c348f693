package cluster

import (
	"slices"
	"strings"
	"time"

	"resec/handlers/redis"
)

// WhyHandedOver begins the State.Why of a lock that was transferred because clients were not served. HandoverReason follows it.
const WhyHandedOver = "handed over"

// HandedOver reports whether State.Why says that the master's agent transferred the lock by itself.
func HandedOver(why string) bool {
	return why == WhyLeaving || strings.HasPrefix(why, WhyHandedOver+": ")
}

// Hidden is what keeps clients from finding our member in the catalogue, although its own check does not.
type Hidden struct {
	By    string    // whose check, and what it says; empty: nothing does
	Serf  bool      // Consul's servers do not reach the Consul agent of our node, and nothing else is wrong
	Since time.Time // since when that is so; zero: it is not
}

// Observe returns what hides our member after another look at its checks.
func (h Hidden) Observe(by string, serf bool, now time.Time) Hidden {
	if by == "" {
		return Hidden{}
	}
	if h.By == "" || h.Serf != serf {
		h.Since = now
	}
	return Hidden{By: by, Serf: serf, Since: h.Since}
}

// SerfGrace is how long Consul's servers may fail to reach a master's Consul agent until the master hands over: an agent that is
// restarted is back by then.
const SerfGrace = ConsulRestartTime

// HandoverReason returns why clients are not served by our Redis, the published master, although it works; empty: they are. What
// ends by itself is no reason. A fence and a guard are none either, because the cluster has set them. A pause suspends handovers.
func HandoverReason(k Snapshot, now time.Time) string {
	if k.Paused || k.Health.Err != nil || k.Health.AccessErr != nil || !k.Health.Status.Master || k.Health.Status.Fenced() {
		return ""
	}
	if why := k.Health.Status.RefusingUntilMoved(); why != "" {
		return "redis refuses writes: " + why
	}
	if k.Hidden.By != "" && (!k.Hidden.Serf || now.Sub(k.Hidden.Since) >= SerfGrace) {
		return "clients cannot find it: " + k.Hidden.By
	}
	return ""
}

// HandoverTo returns the member that serves clients instead of our Redis: it may lead, streams from our Redis, and clients could
// write to it. If all members have the same fault there is none, and nothing moves. Empty: there is none.
func HandoverTo(candidates []Candidate, k Snapshot, me Master) string {
	own, answers := find(candidates, me.ID)
	if !answers || !own.Master || own.Fenced() {
		return ""
	}
	for _, c := range Rank(candidates, k.View.State, RecordedOnly) {
		level := c.Position.ReplID == own.Position.ReplID && own.Position.Offset-c.Position.Offset <= MaxSwitchoverLag
		if c.availableTo(me, k) && level && c.UnservedReason() == "" && !sharesNeed(own, c) {
			return c.ID
		}
	}
	return ""
}

// sharesNeed reports whether a master hands over because its memory is full, and a candidate's soon is: it would hand over, too.
func sharesNeed(own, c Candidate) bool {
	full := func(r redis.Refusal) bool { return r.Code == redis.RefusalMemory && r.Now }
	soonFull := func(r redis.Refusal) bool { return r.Code == redis.RefusalMemory }
	return slices.ContainsFunc(own.Refusals, full) && slices.ContainsFunc(c.Refusals, soonFull)
}
