// Package survey asks every member's Redis at one time, for an election or a handover. It owns nothing: each survey starts its
// own goroutines and joins them.
package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// ProbeTimeout bounds the probe of another member's Redis, connection and handshake included. A slower one is no candidate.
const ProbeTimeout = 300 * time.Millisecond

// Surveyor asks on behalf of one member.
type Surveyor struct {
	ID     string // of this member
	Lock   lock.Lock
	Naming catalog.Naming
	Creds  redis.Options                               // for every member's Redis; Addr and Timeout are filled in
	Own    func(context.Context) (redis.Status, error) // asks our own Redis
	// NoteAddress takes whether a member's Redis was found at its address: nil if it was. May be nil: nothing is noted.
	NoteAddress func(id, addr string, err error)
	Log         *slog.Logger
}

// Answer is what one member's Redis answered to a survey, and when.
type Answer struct {
	Member cluster.Member
	Status redis.Status
	Err    error
	At     time.Time
}

// Result is what all members' Redis servers answered at one time.
type Result struct {
	Candidates []cluster.Candidate
	// Unanswered are the members that did not answer but may hold newer data: in sync once, with an agent that is alive. A
	// master that may refuse connections from this host alone is one of them.
	Unanswered []string
	Answers    []Answer
	// Elsewhere is the id of a master that a live agent lists and that is not under this lock, while no master is published under
	// it. Then one of the two has another lock key, or that agent has not written its member key yet. Empty: there is none.
	Elsewhere string
	// Unnamed is the address of the server that our Redis replicates from, if it answers, or denies access, and nothing of this
	// cluster names it: it is somebody else's. Empty: there is none.
	Unnamed string
}

// Survey probes every member's Redis at once, whether the catalogue lists it or not, and the server that ours
// follows: Consul may have lost everything. Members that the lock's keys name are probed while the catalogue is read. Our own
// status is read last, because offsets keep moving while a master is alive.
//
// It returns the error of the catalogue's read, or the context's cause. It also returns an error if this host could not ask a
// member because it is exhausted: what it has not asked does not count as silent.
func (s *Surveyor) Survey(ctx context.Context, k cluster.Snapshot) (out Result, err error) {
	probes := probes{}
	var probing sync.WaitGroup
	probeAll := func(members []cluster.Member) {
		for _, m := range members {
			if is := probes.begin(m); is != nil {
				probing.Go(func() { *is = s.probeMember(ctx, k, m) })
			}
		}
	}
	probeAll(s.knownMembers(k, nil))
	var entries []handlers.Entry
	withoutCatalog := k.CatalogNotNeeded(s.ID)
	if !withoutCatalog {
		entries, err = s.Naming.Instances(ctx, s.Lock.Client)
	}
	members := s.knownMembers(k, entries)
	probeAll(members)
	probeAll(atOtherAddresses(members, k.View))
	own := Answer{Member: cluster.Member{ID: s.ID, Check: cluster.NotInCatalog}}
	own.Status, own.Err = s.Own(ctx)
	own.At = time.Now()
	probing.Wait()
	probeAll(probes.atNodes(members))
	probing.Wait()
	switch {
	case ctx.Err() != nil: // what was cut short says nothing of any member
		return Result{}, context.Cause(ctx)
	case err != nil:
		return Result{}, err
	case withoutCatalog && own.Err == nil && own.Status.RunID != k.Health.Status.RunID: // then the catalogue is needed
		return Result{}, errors.New("our redis was restarted during the survey")
	}
	for _, is := range probes {
		if redis.Exhausted(is.Err) {
			return Result{}, fmt.Errorf("ask the members: %w", is.Err)
		}
	}
	out.Elsewhere = s.masterElsewhere(k.View, entries)
	out.addOwn(k, own)
	for _, m := range members {
		is := probes.answer(m, k.View)
		if is.Err != nil {
			s.Log.Debug("member is no candidate", "event", "no_candidate", "member", m.ID, "addr", m.Address, "err", is.Err)
		}
		out.add(k.View, is)
	}
	return out, nil
}

// masterElsewhere returns Result.Elsewhere.
func (s *Surveyor) masterElsewhere(v cluster.View, entries []handlers.Entry) string {
	if v.State.Master != nil {
		return ""
	}
	for _, e := range entries {
		others := e.ID() != "" && e.ID() != s.ID && s.Naming.Matches(e, catalog.Master)
		if others && e.AgentStatus() != handlers.CheckCritical && v.LiveAgents[e.ID()].Session == "" {
			return e.ID()
		}
	}
	return ""
}

// addOwn takes the answer of our own Redis. If it does not answer, its watch will say so.
func (s *Result) addOwn(k cluster.Snapshot, is Answer) {
	s.Answers = append(s.Answers, is)
	if is.Err == nil {
		own := cluster.Candidate{ID: is.Member.ID, AgentAlive: true, InCatalog: true, Refused: k.Refused.Lead(), Hidden: k.Hidden.By,
			WrongAddress: k.View.WrongAddressReason(is.Member.ID) != "", Status: is.Status,
			StreamErrors: k.View.StreamErrors(is.Member.ID, is.Status), LostData: k.View.LostData(is.Member.ID, is.Status)}
		s.Candidates = append(s.Candidates, own)
	}
}

// add takes the answer of another member's Redis.
func (s *Result) add(v cluster.View, is Answer) {
	m := is.Member
	s.Answers = append(s.Answers, is)
	if m.Unnamed && redis.Replied(is.Err) {
		s.Unnamed = m.Address
		return
	}
	if is.Err == nil {
		c := cluster.Candidate{ID: m.ID, AgentAlive: m.AgentAlive(), InCatalog: m.InCatalog(), Refused: m.Refused, Hidden: m.Hidden,
			WrongAddress: v.WrongAddressReason(m.ID) != "", Status: is.Status,
			StreamErrors: v.StreamErrors(m.ID, is.Status), LostData: v.LostData(m.ID, is.Status)}
		s.Candidates = append(s.Candidates, c)
		return
	}
	rejected := redis.Refused(is.Err) && cluster.NetworkMayReject(v, m)
	slow := cluster.MayAnswerLater(is.Err) && v.MayHoldNewerData(m.ID)
	if rejected || slow {
		s.Unanswered = append(s.Unanswered, m.ID)
	}
}

// probeMember probes one member's Redis.
func (s *Surveyor) probeMember(ctx context.Context, k cluster.Snapshot, m cluster.Member) Answer {
	timeout := ProbeTimeout
	if k.KnownUnresponsive(m.ID) {
		timeout = takeover.KnownDeadTimeout
	}
	st, err := s.ProbeMember(ctx, k, m.ID, m.Address, timeout)
	return Answer{Member: m, Status: st, Err: err, At: time.Now()}
}

// ProbeMember asks a member's Redis once, and makes sure that the member's Redis has answered. It returns the errors of Probe and
// of cluster.View.CheckMember.
func (s *Surveyor) ProbeMember(ctx context.Context, k cluster.Snapshot, id, addr string, timeout time.Duration) (
	redis.Status, error) {
	st, err := s.Probe(ctx, addr, timeout)
	if err != nil {
		return st, err
	}
	err = k.View.CheckMember(id, st, k.Self(s.ID))
	// Only the announced address counts: one of the past, or of a member that has left, may be another's by now.
	if key := k.View.LiveAgents[id]; s.NoteAddress != nil && key.Session != "" && key.Address == addr {
		s.NoteAddress(id, addr, err)
	}
	return st, err
}

// Probe asks another member's Redis once. The timeout bounds connection, handshake and answer together.
func (s *Surveyor) Probe(ctx context.Context, addr string, timeout time.Duration) (redis.Status, error) {
	timeout = min(timeout, s.Creds.Timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return handlers.Probe(ctx, s.Creds.At(addr).WithTimeout(timeout))
}

// knownMembers are all other members that are known, and the server that our Redis follows.
func (s *Surveyor) knownMembers(k cluster.Snapshot, entries []handlers.Entry) []cluster.Member {
	members := cluster.Members(entries, k.View)
	own := k.Health.Status
	listed := func(m cluster.Member) bool { return m.Address == own.MasterAddr }
	if !own.Master && own.MasterAddr != redis.Sink && !slices.ContainsFunc(members, listed) {
		members = append(members, cluster.Member{ID: own.MasterAddr, Address: own.MasterAddr, Check: cluster.NotInCatalog,
			Unnamed: cluster.FollowsUnnamed(k.View, own, members)})
	}
	return slices.DeleteFunc(members, func(m cluster.Member) bool { return m.ID == s.ID })
}
