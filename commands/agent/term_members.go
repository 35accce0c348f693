package agent

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/survey"
	"resec/handlers"
	"resec/handlers/redis"
)

// minMembersRetry is the first pause before members that may have to be recorded otherwise are looked at again: one catches up
// without an event. It doubles up to the interval, so a sync that took long is seen to be over after as long again, or an
// interval.
const minMembersRetry = 50 * time.Millisecond

// keepMembers keeps the state's members for as long as the term lasts.
func (t *leaderTerm) keepMembers(ctx context.Context) {
	var failure, unsteady logonce.Once
	restarts := cluster.RestartTracker{}
	done, pause, due := "", minMembersRetry, time.Time{}
	for ctx.Err() == nil {
		k, changed := t.a.known.Watch()
		next := time.Duration(math.MaxInt64) // until the next look
		me := k.Announced(t.a.Me)
		restarts.Observe(k.View, time.Now())
		pending, history := cluster.PendingMembers(k.View, me), cluster.UnlistedHistory(k.Snapshot)
		ids, wait, restarting := restarts.Steady(k.View, pending, time.Now())
		if wait > 0 {
			next = wait
		}
		t.logUnsteady(restarting, &unsteady)
		readable := !errors.Is(k.View.Err, cluster.ErrNewerVersion) // otherwise the state must not be written
		if readable && k.View.State.Term() == t.term.Number && (len(ids) > 0 || history != "") {
			if now := cluster.MembersFingerprint(k.View, ids) + history + me.Address; now != done {
				done, pause, due = now, minMembersRetry, time.Time{}
			}
			if !time.Now().Before(due) {
				err := t.updateMembers(ctx, k.View, me, ids)
				if err == nil {
					failure.Reset()
				} else if !errors.Is(err, lock.ErrChanged) && ctx.Err() == nil && failure.Changed(lock.ErrorKind(err)) {
					t.a.Log.Warn("cannot update the members in the state, retrying", "event", "members_failed", "err", err)
				}
				due, pause = time.Now().Add(pause), min(2*pause, t.a.Registrar.Interval)
			}
			next = min(next, time.Until(due))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(next):
		}
	}
}

// logUnsteady logs, once for the same members, that their records wait.
func (t *leaderTerm) logUnsteady(ids []string, logged *logonce.Once) {
	if len(ids) > 0 && logged.Changed(strings.Join(ids, ", ")) {
		t.a.Log.Warn("redis of a member is restarted again and again; the member is recorded again once it runs steadily",
			"event", "member_unsteady", "members", strings.Join(ids, ", "), "steady_after", cluster.SteadyAfter)
	}
}

// updateMembers looks at members, and writes the state if their records are others then, or our Redis has another address. Our
// own position is read first: a member that has reached it later has caught up.
func (t *leaderTerm) updateMembers(ctx context.Context, v cluster.View, me cluster.Master, ids []string) error {
	own, err := t.a.local.Status(ctx)
	if err != nil || !own.Master || own.RunID != v.State.Master.RunID {
		return err
	}
	seen, unread := t.observeMembers(ctx, v, ids, own)
	at := v.State.WithMasterAt(me)
	s := at.UpdateMembers(seen, own.Position)
	if at.Master == v.State.Master && maps.Equal(s.Members, v.State.Members) && slices.Equal(s.Histories, v.State.Histories) {
		return unread
	}
	after, err := t.a.Lock.Write(ctx, t.term.Session, v, s)
	if err != nil {
		return errors.Join(err, unread)
	}
	t.a.Log.Info("members are recorded in the state", "event", "members_recorded", "master_addr", me.Address,
		"members", cluster.FormatMembers(s.Members))
	t.a.observer.Wrote(after)
	return unread
}

// observeMembers looks at all of the members at once. The catalogue is read once, if a member has no live agent. If it cannot be
// read, only the members with a live agent are returned, and the error.
func (t *leaderTerm) observeMembers(ctx context.Context, v cluster.View, ids []string, own redis.Status) (
	[]cluster.MemberObservation, error) {
	withoutAgent := func(id string) bool { return v.LiveAgents[id].Session == "" }
	k := t.a.known.Load().Snapshot
	k.View = v
	seen := make([]cluster.MemberObservation, len(ids))
	var probing sync.WaitGroup
	for i, id := range ids {
		seen[i] = cluster.MemberObservation{ID: id, MemberKey: v.LiveAgents[id]}
		if withoutAgent(id) {
			probing.Go(func() { seen[i].Replicating = t.replicatesFromUs(ctx, v, id, own) })
			continue
		}
		probing.Go(func() {
			st, err := t.a.surveyor.ProbeMember(ctx, k, id, seen[i].Address, survey.ProbeTimeout)
			if err == nil {
				seen[i].Status = &st
			}
		})
	}
	var entries []handlers.Entry
	var err error
	if slices.ContainsFunc(ids, withoutAgent) {
		entries, err = t.a.Registrar.Naming.Instances(ctx, t.a.Lock.Client)
	}
	probing.Wait()
	if err != nil {
		return slices.DeleteFunc(seen, func(m cluster.MemberObservation) bool { return m.Session == "" }), err
	}
	for i := range seen {
		seen[i].InCatalog = slices.ContainsFunc(entries, func(e handlers.Entry) bool { return e.ID() == seen[i].ID })
	}
	return seen, nil
}

// replicatesFromUs reports whether a member without a live agent replicates from our Redis.
func (t *leaderTerm) replicatesFromUs(ctx context.Context, v cluster.View, id string, own redis.Status) bool {
	r := v.State.Members[id]
	if slices.ContainsFunc(own.Replicas, func(o redis.Replica) bool { return o.Addr == r.Address }) {
		return true
	}
	st, err := t.a.surveyor.Probe(ctx, r.Address, survey.ProbeTimeout)
	return err == nil && !st.Master && st.MasterAddr == v.State.Master.Address && v.IsMembers(id, st)
}
