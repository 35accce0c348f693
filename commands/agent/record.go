package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
func (a *Agent) keepMembers(ctx context.Context, r leaderTerm) {
	said, done, pause, due := "", "", minMembersRetry, time.Time{}
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		var again <-chan time.Time
		ids, lineage := pendingMembers(k.view, a.Me.ID), unlistedHistory(k)
		if k.view.State.Term() == r.term && (len(ids) > 0 || lineage != "") {
			if now := fingerprint(k.view, ids) + lineage; now != done { // something is new
				done, pause, due = now, minMembersRetry, time.Time{}
			}
			if !time.Now().Before(due) {
				err := a.updateMembers(ctx, k.view, r.session, ids)
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

// fingerprint is what a view says of members, in one string to compare.
func fingerprint(v cluster.View, ids []string) string {
	var out strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&out, id, v.LiveAgents[id], v.State.Members[id])
	}
	return out.String()
}

// pendingMembers are the members whose place in the record may have to change: who is present and not recorded as it is, and
// who is recorded and gone.
func pendingMembers(v cluster.View, me string) (ids []string) {
	for id, p := range v.LiveAgents {
		r, recorded := v.State.Members[id]
		if id != me && p.Session != "" && (!recorded || r.CatchingUp || r.InSyncTerm != v.State.Term() || r.RunID != p.RunID || r.Address != p.Address) {
			ids = append(ids, id)
		}
	}
	for id := range v.State.Members {
		if id != me && v.LiveAgents[id].Session == "" {
			ids = append(ids, id)
		}
	}
	if _, recorded := v.State.Members[me]; !recorded {
		ids = append(ids, me)
	}
	slices.Sort(ids)
	return ids
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
	a.Log.Info("recorded", "members", formatRecord(s.Members))
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

// unlistedHistory is our Redis's lineage, where the chain lacks it.
func unlistedHistory(k snapshot) string {
	st, m := k.health.Status, k.view.State.Master
	if l := st.Position.ReplID; st.Master && m != nil && st.RunID == m.RunID && !slices.Contains(k.view.State.Histories, l) {
		return l
	}
	return ""
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

// formatRecord is a record in one line.
func formatRecord(record map[string]cluster.MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(record)) {
		joining := ""
		if record[id].CatchingUp {
			joining = " (joining)"
		}
		out = append(out, fmt.Sprintf("%s %.8s%s", id, record[id].RunID, joining))
	}
	return strings.Join(out, ", ")
}
