package agent

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// probeTimeout bounds the probe of another member's Redis, connection and handshake included. A slower one is no candidate.
const probeTimeout = 300 * time.Millisecond

// answer is what one member's Redis answered to a survey, and when.
type answer struct {
	member cluster.Member
	status redis.Status
	err    error
	at     time.Time
}

// survey is what all members' Redis servers answered at one time.
type survey struct {
	candidates []cluster.Candidate
	// unanswered are the members that did not answer but may hold newer data: in sync once, with an agent that is alive. A
	// master that may refuse connections from this host alone is one of them.
	unanswered []string
	answers    []answer
}

// surveyMembers probes every member's Redis at once, whether the catalogue lists it or not, and the server that ours
// follows: Consul may have lost everything. Members that the lock's keys name are probed while the catalogue is read. Our own
// status is read last, because offsets keep moving while a master is alive.
//
// It returns the error of the catalogue's read, or the context's cause.
func (a *Agent) surveyMembers(ctx context.Context, k snapshot) (out survey, err error) {
	probes := map[cluster.Member]*answer{} // by id and address
	var probing sync.WaitGroup
	probeAll := func(members []cluster.Member) {
		for _, m := range members {
			key := cluster.Member{ID: m.ID, Address: m.Address}
			if probes[key] != nil {
				continue
			}
			is := &answer{}
			probes[key] = is
			probing.Go(func() { *is = a.probeMember(ctx, k, m) })
		}
	}
	probeAll(a.knownMembers(k, nil))
	var entries []handlers.Entry
	withoutCatalog := k.CatalogNotNeeded(a.Me.ID)
	if !withoutCatalog {
		entries, err = a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	}
	members := a.knownMembers(k, entries)
	probeAll(members)
	own := answer{member: cluster.Member{ID: a.Me.ID, Check: cluster.NotInCatalog}}
	own.status, own.err = a.local.status(ctx)
	own.at = time.Now()
	probing.Wait()
	switch {
	case ctx.Err() != nil: // what was cut short says nothing of any member
		return survey{}, context.Cause(ctx)
	case err != nil:
		return survey{}, err
	case withoutCatalog && own.err == nil && own.status.RunID != k.Health.Status.RunID: // then the catalogue is needed
		return survey{}, errors.New("our redis was restarted during the survey")
	}
	out.addOwn(own)
	for _, m := range members {
		is := *probes[cluster.Member{ID: m.ID, Address: m.Address}]
		is.member = m
		if is.err != nil {
			a.Log.Debug("member is no candidate", "event", "no_candidate", "member", m.ID, "addr", m.Address, "err", is.err)
		}
		out.add(k.View, is)
	}
	return out, nil
}

// addOwn takes the answer of our own Redis. If it does not answer, its watch will say so.
func (s *survey) addOwn(is answer) {
	s.answers = append(s.answers, is)
	if is.err == nil {
		s.candidates = append(s.candidates, cluster.Candidate{ID: is.member.ID, AgentAlive: true, InCatalog: true, Status: is.status})
	}
}

// add takes the answer of another member's Redis.
func (s *survey) add(v cluster.View, is answer) {
	m := is.member
	s.answers = append(s.answers, is)
	if is.err == nil {
		s.candidates = append(s.candidates, cluster.Candidate{ID: m.ID, AgentAlive: m.AgentAlive(), InCatalog: m.InCatalog(), Status: is.status})
		return
	}
	rejected := redis.Refused(is.err) && cluster.NetworkMayReject(v, m)
	slow := redis.Unreachable(is.err) && !cluster.Down(is.err) && v.MayHoldNewerData(m.ID)
	if rejected || slow {
		s.unanswered = append(s.unanswered, m.ID)
	}
}

// probeMember probes one member's Redis.
func (a *Agent) probeMember(ctx context.Context, k snapshot, m cluster.Member) answer {
	timeout := probeTimeout
	if k.KnownUnresponsive(m.ID) {
		timeout = takeover.KnownDeadTimeout
	}
	st, err := a.probe(ctx, m.Address, timeout)
	if err == nil && !k.View.IsMembers(m.ID, st) {
		err = cluster.ErrOtherInstance
	}
	return answer{member: m, status: st, err: err, at: time.Now()}
}

// probe asks another member's Redis once. The timeout bounds connection, handshake and answer together.
func (a *Agent) probe(ctx context.Context, addr string, timeout time.Duration) (redis.Status, error) {
	timeout = min(timeout, a.Creds.Timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return handlers.Probe(ctx, a.Creds.At(addr).WithTimeout(timeout))
}

// knownMembers are all other members that are known, and the server that our Redis follows.
func (a *Agent) knownMembers(k snapshot, entries []handlers.Entry) []cluster.Member {
	members := cluster.Members(entries, k.View)
	own := k.Health.Status
	listed := func(m cluster.Member) bool { return m.Address == own.MasterAddr }
	if !own.Master && own.MasterAddr != redis.Sink && !slices.ContainsFunc(members, listed) {
		members = append(members, cluster.Member{ID: own.MasterAddr, Address: own.MasterAddr, Check: cluster.NotInCatalog})
	}
	return slices.DeleteFunc(members, func(m cluster.Member) bool { return m.ID == a.Me.ID })
}

// recordedPeers are the recorded members that a takeover parks.
func recordedPeers(v cluster.View, me string) (out []takeover.RecordedPeer) {
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		r, p := v.State.Members[id], v.LiveAgents[id]
		if id != me {
			out = append(out, takeover.RecordedPeer{ID: id, Address: cmp.Or(p.Address, r.Address), Session: p.Session})
		}
	}
	return out
}

// checkPassing is a published master's instance whose entry in the catalogue passed its check: clients are sent to its address.
type checkPassing struct {
	runID string
	at    time.Time
}

// isFresh reports whether that was so just now.
func (p checkPassing) isFresh(runID string) bool {
	return p.runID == runID && time.Since(p.at) < 2*time.Second
}
