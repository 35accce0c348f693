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

// surveyAndNote looks at every member's Redis at once, listed or not, and at the one that ours follows: Consul may have lost
// everything. Whom the lock's keys name is asked while the catalogue is read. It looks at ours no earlier: offsets move while a
// master lives.
//
// It names apart who is silent and may be the freshest: recorded as level, with an agent that lives; and a master that may
// refuse us alone.
func (a *Agent) surveyAndNote(ctx context.Context, k snapshot) (cs []cluster.Candidate, silent []string, err error) {
	return a.survey(ctx, k, func(m cluster.Member, st redis.Status, err error, at time.Time) {
		a.evidence.observe(m.ID, k.view.State.Master, st, err, at)
		if master := k.view.State.Master; master != nil && master.ID == m.ID && m.Check == "passing" {
			a.masterCheck = checkPassing{master.RunID, time.Now()}
		}
	})
}

// survey asks, and has each answer noted, with when it came.
func (a *Agent) survey(ctx context.Context, k snapshot, note func(m cluster.Member, st redis.Status, err error, at time.Time)) (cs []cluster.Candidate, silent []string, err error) {
	type answer struct {
		st  redis.Status
		err error
		at  time.Time
	}
	said := map[cluster.Member]*answer{} // by id and address
	var wg sync.WaitGroup
	look := func(members []cluster.Member) {
		for _, m := range members {
			who, is := cluster.Member{ID: m.ID, Address: m.Address}, &answer{}
			if said[who] != nil {
				continue
			}
			said[who] = is
			wg.Go(func() {
				is.st, is.err = a.probe(ctx, m.Address, k.knownUnresponsive(m.ID))
				if is.at = time.Now(); is.err == nil && !k.view.IsMembers(m.ID, is.st) {
					is.err = cluster.ErrOtherInstance
				}
			})
		}
	}
	look(a.knownMembers(k, nil))
	var entries []handlers.Entry
	if !k.catalogNotNeeded(a.Me.ID) {
		entries, err = a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	}
	members := a.knownMembers(k, entries)
	look(members)
	own, ownErr := a.Redis.Status(ctx)
	at := time.Now()
	wg.Wait()
	if ctx.Err() != nil { // what was cut short says nothing of anybody
		return nil, nil, context.Cause(ctx)
	}
	if err == nil && entries == nil && ownErr == nil && own.RunID != k.health.Status.RunID { // then it may not suffice
		err = errors.New("our redis was restarted while others were asked")
	}
	if err != nil {
		return nil, nil, err
	}
	note(cluster.Member{ID: a.Me.ID, Check: cluster.NotInCatalog}, own, ownErr, at)
	if ownErr == nil { // or else the watch on it will say so; the others go first
		cs = append(cs, cluster.Candidate{ID: a.Me.ID, AgentAlive: true, InCatalog: true, Status: own})
	}
	for _, m := range members {
		is := said[cluster.Member{ID: m.ID, Address: m.Address}]
		note(m, is.st, is.err, is.at)
		if is.err == nil {
			cs = append(cs, cluster.Candidate{ID: m.ID, AgentAlive: m.AgentAlive(), InCatalog: m.InCatalog(), Status: is.st})
			continue
		}
		a.Log.Debug("no candidate", "member", m.ID, "err", is.err)
		if redis.Unreachable(is.err) && !cluster.Down(is.err) && k.view.MayHoldNewerData(m.ID) || redis.Refused(is.err) && networkMayReject(k.view, m) {
			silent = append(silent, m.ID)
		}
	}
	return cs, silent, nil
}

// catalogNotNeeded tells whether nothing of the catalogue counts: the master's own agent has given it up, and our Redis is recorded, so
// that nobody leads who is not. Three calls are most of what a failover takes.
func (k snapshot) catalogNotNeeded(id string) bool {
	s := k.view.State
	return s.Master != nil && s.Master.ID != id && s.MasterReportedGone(s.Master.ID) && s.NotRecordedReason(id, k.health.Status.RunID) == ""
}

// checkPassing is a published master's run whose entry in the catalogue passed its check: clients are sent to its address.
type checkPassing struct {
	run string
	at  time.Time
}

// isFresh tells whether that was so just now.
func (p checkPassing) isFresh(run string) bool {
	return p.run == run && time.Since(p.at) < 2*time.Second
}

// networkMayReject tells whether a master that refuses us may live, and the network be what rejects: the lock is free without a word, and
// its agent, which would say that it is dead, still passes its check.
func networkMayReject(v cluster.View, m cluster.Member) bool {
	return v.Free() && v.State.Why == "" && v.State.Master != nil && v.State.Master.ID == m.ID && m.InCatalog() && m.AgentAlive()
}

// knownMembers are all other members that are known of, and whom our Redis follows.
func (a *Agent) knownMembers(k snapshot, entries []handlers.Entry) []cluster.Member {
	members := cluster.Members(entries, k.view)
	own := k.health.Status
	if of := own.MasterAddr; !own.Master && of != redis.Sink && !slices.ContainsFunc(members, func(m cluster.Member) bool { return m.Address == of }) {
		members = append(members, cluster.Member{ID: of, Address: of, Check: cluster.NotInCatalog})
	}
	return slices.DeleteFunc(members, func(m cluster.Member) bool { return m.ID == a.Me.ID })
}

// knownUnresponsive tells whether a member is the master, and known not to answer: to its own agent, or to the watch on it.
func (k snapshot) knownUnresponsive(id string) bool {
	s := k.view.State
	return s.MasterReportedGone(id) || s.Master != nil && s.Master.ID == id && k.failure.unreachable && k.failure.run == s.Master.RunID
}

// probe asks another's Redis, once and not for long; one that is not expected to answer not longer than for a moment.
func (a *Agent) probe(ctx context.Context, addr string, hopeless bool) (redis.Status, error) {
	opt := a.Creds
	if opt.Addr, opt.Timeout = addr, min(probeTimeout, opt.Timeout); hopeless {
		opt.Timeout = takeover.KnownDeadTimeout
	}
	return handlers.Probe(ctx, opt)
}

// recordedPeers are the recorded members that a take-over parks.
func recordedPeers(v cluster.View, me string) (out []takeover.RecordedPeer) {
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		r, p := v.State.Members[id], v.LiveAgents[id]
		if id == me {
			continue
		}
		out = append(out, takeover.RecordedPeer{ID: id, Address: cmp.Or(p.Address, r.Address), Session: p.Session})
	}
	return out
}
