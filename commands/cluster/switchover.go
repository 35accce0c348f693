package cluster

import (
	"fmt"
	"slices"

	"resec/handlers/redis"
)

// MaxSwitchoverLag is how many bytes the next master may be behind at a switchover: writes are held back until it has them,
// for at most takeover.DrainTimeout.
const MaxSwitchoverLag = 1 << 20

// DecideSwitchover decides on an operator's switchover: it returns the request accepted, with the id of the next master, or
// with an answer that says why it is refused. The answer to a dry run says what would happen. A request that was accepted
// before is answered with why it failed.
func DecideSwitchover(r Request, candidates []Candidate, k Snapshot, me Master) Request {
	own, answers := find(candidates, me.ID)
	switch {
	case k.Paused:
		return r.answered("the cluster is %s", k.View.Pause)
	case r.Accepted:
		return r.answered("the agent of %s is down", r.To)
	case !answers || !own.Master || own.Fenced():
		return r.answered("the master %s does not accept writes", me.ID)
	}
	r, refused := resolveTarget(r, candidates, k, me)
	if refused {
		return r
	}
	return decideTarget(r, own, candidates, k, me)
}

// answered returns the request with an answer, which ends it unless it is accepted.
func (r Request) answered(format string, args ...any) Request {
	r.Answer = fmt.Sprintf(format, args...)
	return r
}

// resolveTarget replaces the requested member, an address or an id or nothing, by the id of a member.
func resolveTarget(r Request, candidates []Candidate, k Snapshot, me Master) (_ Request, refused bool) {
	if r.To == "" {
		if r.To = Successor(candidates, k, me, nil); r.To == "" {
			return r.answered("no member is eligible to lead"), true
		}
		return r, false
	}
	members := Members(nil, k.View)
	at := slices.IndexFunc(members, func(m Member) bool { return m.ID == r.To || m.Address == r.To })
	if at < 0 {
		return r.answered("there is no member %s", r.To), true
	}
	r.To = members[at].ID
	return r, false
}

// decideTarget decides whether the requested member may lead next.
func decideTarget(r Request, own Candidate, candidates []Candidate, k Snapshot, me Master) Request {
	next, answers := find(candidates, r.To)
	switch {
	case r.To == me.ID:
		return r.answered("%s is the master already", r.To)
	case k.View.LiveAgents[r.To].Session == "":
		return r.answered("%s has no live agent", r.To)
	case !answers:
		return r.answered("the redis of %s does not answer, or another instance answers at its address", r.To)
	}
	if why := k.View.WrongAddressReason(r.To); why != "" { // the others could not follow it
		return r.answered("%s may not lead: %s", r.To, why)
	}
	if why := next.IneligibleReason(k.View.State, RecordedOnly); why != "" {
		return r.answered("%s may not lead: %s", r.To, why)
	}
	if why := next.UnservedReason(); why != "" && own.UnservedReason() == "" { // it would hand over again at once
		return r.answered("%s may not lead: %s", r.To, why)
	}
	if !next.streamsFrom(me, k) || next.Position.ReplID != own.Position.ReplID {
		return r.answered("%s does not replicate from the master", r.To)
	}
	behind := max(0, own.Position.Offset-next.Position.Offset)
	if behind > MaxSwitchoverLag {
		return r.answered("%s is too far behind: %d bytes", r.To, behind)
	}
	if r.DryRun {
		r = r.answered("%s would lead: it replicates from the master and is %d bytes behind", r.To, behind)
		if why := next.Drawback(); why != "" {
			r.Answer += "; " + why
		}
		for _, c := range candidates {
			if why := c.cannotLoadReason(next); why != "" {
				r.Answer += "; " + why
			}
		}
	}
	r.Accepted = true
	return r
}

// streamsFrom reports whether a candidate receives the stream of our Redis, at its present address or at the published one.
func (c Candidate) streamsFrom(me Master, k Snapshot) bool {
	published := k.View.State.isMaster(me.ID) && c.MasterAddr == k.View.State.Master.Address
	return c.Streaming() && (published || c.MasterAddr == k.Announced(me).Address)
}

// cannotLoadReason says what becomes of a member under a master whose full sync it cannot read; empty if it can.
func (c Candidate) cannotLoadReason(next Candidate) string {
	if c.ID == next.ID || !redis.CannotLoad(c.Version, next.Version) {
		return ""
	}
	return fmt.Sprintf("%s (redis %s) cannot read a full sync of %s (redis %s): once it needs one, as after a restart, "+
		"it loses its data and is parked until it is upgraded", c.ID, c.Version, next.ID, next.Version)
}

// availableTo reports whether the lock may be transferred from a master to the candidate: it is another member, has a live agent
// and streams from that master.
func (c Candidate) availableTo(me Master, k Snapshot) bool {
	return c.ID != me.ID && k.View.LiveAgents[c.ID].Session != "" && c.streamsFrom(me, k)
}

// Successor returns the id of the best member to transfer the lock to: eligible, available and not tried before. One that clients
// could not write to comes last. Of the others that are hardly behind it is one of the oldest version: what they lack they
// receive from our Redis before they lead. Empty: there is none.
func Successor(candidates []Candidate, k Snapshot, me Master, tried map[string]bool) string {
	own, _ := find(candidates, me.ID)
	var best Candidate
	for _, c := range Rank(candidates, k.View.State, RecordedOnly) {
		if tried[c.ID] || !c.availableTo(me, k) {
			continue
		}
		behind := own.Position.Offset - c.Position.Offset
		if best.ID == "" || c.precedes(best, behind <= MaxSwitchoverLag) {
			best = c
		}
	}
	return best.ID
}

// precedes reports whether a candidate that ranks behind another is to become master rather than that one. near: it is hardly
// behind our Redis.
func (c Candidate) precedes(other Candidate, near bool) bool {
	if served, was := c.UnservedReason() == "", other.UnservedReason() == ""; served != was {
		return served
	}
	return near && redis.CompareVersions(c.Version, other.Version) < 0
}
