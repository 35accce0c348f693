package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// minMembersRetry is the first pause before members that are not settled yet are looked at again: one catches up without an
// event. It doubles up to the interval, so a sync that took long is seen to be over after as long again, or an interval.
const minMembersRetry = 50 * time.Millisecond

// keepMembers keeps the record of the cluster's members for as long as our reign lasts.
func (a *Agent) keepMembers(ctx context.Context, r cluster.Term) {
	said, done, pause, due := "", "", minMembersRetry, time.Time{}
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		var again <-chan time.Time
		ids, lineage := cluster.PendingMembers(k.View, a.Me.ID), cluster.UnlistedHistory(k.Snapshot)
		if k.View.State.Term() == r.Number && (len(ids) > 0 || lineage != "") {
			if now := cluster.MembersFingerprint(k.View, ids) + lineage; now != done { // something is new
				done, pause, due = now, minMembersRetry, time.Time{}
			}
			if !time.Now().Before(due) {
				err := a.updateMembers(ctx, k.View, r.Session, ids)
				if err != nil && !errors.Is(err, lock.ErrChanged) && ctx.Err() == nil && err.Error() != said {
					a.Log.Warn("the record of members could not be kept", "err", err)
					said = err.Error()
				}
				due, pause = time.Now().Add(pause), min(2*pause, a.Registrar.Interval)
			}
			again = time.After(time.Until(due))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// updateMembers looks at members, and writes the record where it is another then.
func (a *Agent) updateMembers(ctx context.Context, v cluster.View, session string, ids []string) error {
	own, err := a.Redis.Status(ctx) // first: who has reached this position later has caught up
	if err != nil || !own.Master || own.RunID != v.State.Master.RunID {
		return err // it is the master no longer
	}
	seen := make([]cluster.MemberObservation, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		seen[i] = cluster.MemberObservation{ID: id, MemberKey: v.LiveAgents[id]}
		if seen[i].Session == "" {
			if seen[i].InCatalog, err = a.inCatalog(ctx, id); err != nil {
				return err
			}
			seen[i].Replicating = a.replicatesFromUs(ctx, v, id, own)
			continue
		}
		wg.Go(func() {
			if st, err := a.probe(ctx, seen[i].Address, false); err == nil {
				seen[i].Status = &st
			}
		})
	}
	wg.Wait()
	s := v.State.UpdateMembers(seen, own.Position)
	if maps.Equal(s.Members, v.State.Members) && slices.Equal(s.Histories, v.State.Histories) {
		return nil
	}
	after, err := a.Lock.Write(ctx, session, v, s)
	if err != nil {
		return err
	}
	a.Log.Info("recorded", "members", cluster.FormatMembers(s.Members))
	a.setWritten(after)
	return nil
}

// replicatesFromUs tells whether a member without an agent replicates from our Redis.
func (a *Agent) replicatesFromUs(ctx context.Context, v cluster.View, id string, own redis.Status) bool {
	r := v.State.Members[id]
	if slices.ContainsFunc(own.Replicas, func(o redis.Replica) bool { return o.Addr == r.Address }) {
		return true
	}
	st, err := a.probe(ctx, r.Address, false)
	return err == nil && !st.Master && st.MasterAddr == v.State.Master.Address && v.IsMembers(id, st)
}

// inCatalog tells whether the catalogue lists a member.
func (a *Agent) inCatalog(ctx context.Context, id string) (bool, error) {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	return slices.ContainsFunc(entries, func(e handlers.Entry) bool { return e.ID() == id }), err
}

// listedMaster is another member whom the catalogue calls the master; nil: nobody. One whose agent lives, and is not present
// under this lock, is another cluster's, or has not said yet that it is here.
func (a *Agent) listedMaster(v cluster.View, entries []handlers.Entry) (*cluster.Master, error) {
	entries = slices.DeleteFunc(entries, func(e handlers.Entry) bool {
		return e.ID() == "" || e.ID() == a.Me.ID || !a.Registrar.Naming.Matches(e, catalog.Master)
	})
	e, found := handlers.MasterOf(entries, "")
	switch {
	case !found:
		return nil, nil
	case e.Status() != api.HealthCritical && v.LiveAgents[e.ID()].Session == "":
		return nil, fmt.Errorf("%s is listed as the master by an agent that lives, and that is not under this lock: two clusters need two service names", e.ID())
	}
	return &cluster.Master{Peer: handlers.Peer{ID: e.ID(), Address: e.Addr(), Term: e.Term()}}, nil
}
