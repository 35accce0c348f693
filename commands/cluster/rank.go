package cluster

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"resec/handlers/redis"
)

// Rank returns the candidates that may lead, the best first:
//
//  1. the incumbent;
//  2. data before no data, then data without stream errors;
//  3. an announced address that leads the other members to it, if only members that were in sync may lead. No other member could
//     follow the master at a wrong one. If the data decide, an address is no reason to lose some;
//  4. the newest history; an unknown one comes last;
//  5. the history that holds the published master's data;
//  6. the history in which a candidate has the most keys, then the lower replication ID;
//  7. within one history the highest offset;
//  8. one that nothing speaks against: see Candidate.Drawback;
//  9. the older version: a newer one may be unable to send its data to the older ones;
//  10. the published master, the lower priority, the lower id.
//
// Offsets compare only within one history. Rules 5 and 6 order histories of which nothing is known: a Redis with an AOF begins
// a new replication ID with each restart.
func Rank(candidates []Candidate, s State, e Eligibility) []Candidate {
	eligible := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return c.IneligibleReason(s, e) != "" })
	ranks := make([]standing, len(eligible))
	mastersHistory, mostKeys := map[string]bool{}, map[string]int64{} // by replication ID
	for i, c := range eligible {
		r := standingOf(c, s)
		mastersHistory[r.replID] = mastersHistory[r.replID] || s.isMaster(c.ID) && r.hasData
		mostKeys[r.replID] = max(mostKeys[r.replID], c.Keys)
		ranks[i] = r
	}
	slices.SortStableFunc(ranks, func(a, b standing) int {
		return cmp.Or(
			trueFirst(a.Incumbent(s), b.Incumbent(s)),
			trueFirst(a.hasData, b.hasData),
			trueFirst(a.StreamErrors == 0, b.StreamErrors == 0),
			trueFirst(!a.addressCounts(e), !b.addressCounts(e)),
			cmp.Compare(b.age, a.age),
			trueFirst(mastersHistory[a.replID], mastersHistory[b.replID]),
			cmp.Compare(mostKeys[b.replID], mostKeys[a.replID]),
			cmp.Compare(a.replID, b.replID),
			cmp.Compare(b.offset, a.offset),
			trueFirst(a.Drawback() == "", b.Drawback() == ""),
			redis.CompareVersions(a.Version, b.Version),
			trueFirst(s.isMaster(a.ID), s.isMaster(b.ID)),
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.ID, b.ID),
		)
	})
	for i, r := range ranks {
		eligible[i] = r.Candidate
	}
	return eligible
}

// standing is a candidate with what ranks its data.
type standing struct {
	Candidate
	age     int    // index of its history, the newest is the highest; -1: unknown
	replID  string // replication ID in which offset counts
	offset  int64
	hasData bool
}

// addressCounts reports whether a candidate ranks last because of its address.
func (c Candidate) addressCounts(e Eligibility) bool { return c.WrongAddress && e == RecordedOnly }

func standingOf(c Candidate, s State) standing {
	p := s.ResolvePosition(c.Status)
	age, replID := s.historyIndex(p)
	return standing{Candidate: c, age: age, replID: replID, offset: comparableOffset(p, replID), hasData: c.Keys > 0}
}

// Freshest returns the candidate among the others that holds data which our Redis does not have, the most of them. It returns
// false if no other has any, as far as the histories show. One in sync that may never be promoted, or cannot be, counts, too:
// our Redis catches up from it.
func Freshest(own Candidate, others []Candidate, s State, e Eligibility) (Candidate, bool) {
	all := slices.Concat([]Candidate{own}, others)
	for i := range all {
		if all[i].KeepsData(s) {
			all[i].Priority, all[i].Refused = lowestPriority, ""
		}
	}
	ranked := Rank(all, s, e)
	if len(ranked) == 0 || ranked[0].ID == own.ID || sameData(ranked[0], own, s) {
		return Candidate{}, false
	}
	return ranked[0], true
}

// lowestPriority is behind every replica-priority.
const lowestPriority = math.MaxInt

// LacksKept returns the id of a candidate that may never lead and holds data which our Redis does not have; empty if none does.
func LacksKept(id string, candidates []Candidate, s State) string {
	own, _ := find(candidates, id)
	for _, c := range candidates {
		if c.ID == id || !c.KeepsData(s) || c.StreamErrors > 0 {
			continue
		}
		if _, fresher := Freshest(own, []Candidate{c}, s, AnyMember); fresher {
			return c.ID
		}
	}
	return ""
}

// HeldUpReason returns why an eligible candidate does not lead although no other member can. It lacks the data of a member that
// cannot lead and that no member can catch up from. Empty: nothing holds the candidate up.
func HeldUpReason(id string, candidates []Candidate, s State, e Eligibility) string {
	if e == RecordedOnly {
		return ""
	}
	denying := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return c.ID != id && !c.servesNoSync() })
	if keeper := LacksKept(id, denying, s); keeper != "" {
		return LacksDataReason(id, keeper)
	}
	return ""
}

// servesNoSync reports whether no member can catch up from the candidate: its Redis denies a command without which it can neither
// be parked nor promoted, or it would refuse a replica.
func (c Candidate) servesNoSync() bool {
	return strings.Contains(c.Refused, "REPLICAOF") || strings.Contains(c.Refused, "CONFIG SET") || c.RefusesReplicas()
}

// LacksDataReason says that a member which cannot lead holds data that the candidate lacks, and the command that ends the wait.
func LacksDataReason(id, keeper string) string {
	return fmt.Sprintf("%s, which cannot lead, has newer data; `resec failover -to %s -force` leads without them", keeper, id)
}

// comparableOffset returns the offset up to which data at p belong to a history. What a Redis wrote after it left the history
// of ReplID2 belongs to no other server.
func comparableOffset(p redis.Position, replID string) int64 {
	if replID == p.ReplID || replID != p.ReplID2 || p.ReplID2EndOffset <= 0 {
		return p.Offset
	}
	return min(p.Offset, p.ReplID2EndOffset-1)
}

// sameData reports whether two candidates hold the same data, so that only master, priority or id rank them.
func sameData(a, b Candidate, s State) bool {
	x, y := standingOf(a, s), standingOf(b, s)
	return x.replID == y.replID && x.offset == y.offset && x.hasData == y.hasData
}

// trueFirst compares two booleans for a sort that puts true first.
func trueFirst(a, b bool) int {
	if a == b {
		return 0
	}
	if a {
		return -1
	}
	return 1
}
