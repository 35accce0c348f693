package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/survey"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

// Report is what a member is at one moment, for those that ask the agent by HTTP.
type Report struct {
	Why       string        // nothing is known of our Redis, because of this; empty: it is known
	Leaving   bool          // the agent was asked to stop
	Holds     bool          // the lock is ours, or lost and free, and we are the first to take it again
	Term      uint64        // published
	Master    string        // id of the published master; empty: there is none
	Published bool          // our Redis, in its present instance, is that master
	Follows   bool          // our Redis follows that master
	Lacks     string        // why our Redis, in its present instance, is not recorded as in sync; empty: it is
	Lease     time.Duration // that is left
	Redis     redis.Status  // ours
	Differs   string        // why our Redis, a replica, has other data than its master's; empty: it has not, as far as is known
	Behind    *int64        // bytes that the master has and our Redis has not; nil: unknown, or not asked for
}

// reportTimeout bounds the probe of our own Redis for a report.
const reportTimeout = 2 * time.Second

// notReady is reported before our Redis was opened, and after the agent has stopped.
const notReady = "the agent is not ready: it is starting, or has stopped"

// Report probes our Redis. If behind is asked for and our Redis is not the master, it also probes the master. It may be called at
// any time.
func (a *Agent) Report(ctx context.Context, behind bool) Report {
	a.reports.RLock()
	defer a.reports.RUnlock()
	if !a.ready.Load() {
		return Report{Why: notReady}
	}
	ctx, cancel := context.WithTimeout(ctx, min(reportTimeout, a.Probe.Timeout))
	defer cancel()
	var master *redis.Status
	var probing sync.WaitGroup
	if s := a.known.Load().View.State; behind && s.Master != nil && s.Master.ID != a.Me.ID {
		probing.Go(func() { master = a.probeMaster(ctx, s) })
	}
	own, err := a.local.Status(ctx)
	probing.Wait()
	k := a.known.Load() // after the probes: what was lost meanwhile is lost
	if h := k.Health; err != nil && (redis.Replied(err) || redis.LocalFault(err)) && h.Err == nil && h.Status.RunID != "" {
		own, err = h.Status, nil // it is busy, denies access, or could not be asked: its last known status counts
	}
	r := report(k, a.Me.ID, own, err, master, time.Now())
	r.Leaving = a.shutdown.requested()
	return r
}

// probeMaster asks the published master; nil: it does not answer.
func (a *Agent) probeMaster(ctx context.Context, s cluster.State) *redis.Status {
	timeout := survey.ProbeTimeout
	if s.MasterReportedGone(s.Master.ID) {
		timeout = takeover.KnownDeadTimeout
	}
	st, err := a.surveyor.Probe(ctx, s.Master.Address, timeout)
	if err != nil {
		return nil
	}
	return &st
}

// report draws the conclusions.
func report(k known.Snapshot, id string, own redis.Status, err error, master *redis.Status, now time.Time) Report {
	s := k.View.State
	reclaims := cluster.MayReclaim(k.Snapshot, id)
	r := Report{Term: s.Term(), Redis: own, Holds: k.HoldsLock() || reclaims, Lease: k.LeaseLeft(now)}
	if err != nil {
		r.Why = "redis is unusable: " + redis.Summary(err)
	} else if own.Loading {
		r.Why = "redis is unusable: " + redis.ErrLoading.Error()
	}
	if !own.Master {
		r.Differs = cluster.StreamErrorsReason(k.StreamErrors.Count)
	}
	m := s.Master
	if m == nil {
		return r
	}
	r.Master, r.Published, r.Follows = m.ID, m.ID == id && m.RunID == own.RunID, !own.Master && own.MasterAddr == m.Address
	if r.Lacks = s.NotRecordedReason(id, own.RunID); r.Lacks == "" && s.Members[id].InSyncTerm != s.Term() {
		r.Lacks = "it was not seen in sync with the master of this term yet"
	}
	comparable := master != nil && master.Master && master.RunID == m.RunID && master.Position.ReplID == own.Position.ReplID
	if comparable && !own.Master {
		behind := max(0, master.Position.Offset-own.Position.Offset)
		r.Behind = &behind
	}
	return r
}

// dumpOnSignal logs the agent's state with each signal, whatever the log level is.
func (a *Agent) dumpOnSignal(ctx context.Context, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-a.DumpState:
		}
		r := slog.NewRecord(time.Now(), slog.LevelInfo, "state", 0)
		r.Add("event", "state", "id", a.Me.ID, "redis", a.Creds.Addr)
		r.Add(stateAttrs(a.known.Load(), a.Me.ID, a.masterService(), a.announcer.Advertised.Load(), time.Now())...)
		r.Add("hooks_failed", strings.Join(a.hooks.Failures(), "; "))
		if err := a.Log.Handler().Handle(ctx, r); err != nil {
			a.Log.Error("cannot log the state", "event", "state_dump_failed", "err", err)
		}
	}
}

// stateAttrs is all that is known, as the arguments of a log line.
func stateAttrs(k known.Snapshot, id, service string, shown catalog.Entry, now time.Time) []any {
	st, v := k.Health.Status, k.View
	role, session, holder, master := "replica", "none", "none", "none"
	if st.Master {
		role = "master"
	}
	if k.SessionID != "" {
		session = k.SessionID
	}
	if !v.Free() {
		holder = v.Holder
	}
	if m := v.State.Master; m != nil {
		master = m.ID
	}
	_, why := cluster.Decide(k.Snapshot, id, service)
	set := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
	return []any{
		"redis_answers", k.Probed && k.Health.Err == nil, "redis_error", redis.Summary(k.Health.Err), "run_id", st.RunID,
		"role", role, "follows", st.MasterAddr, "link_up", st.LinkUp, "syncing", st.Syncing, "replid", st.Position.ReplID,
		"offset", st.Position.Offset, "replicas", len(st.Replicas), "fenced", st.Fenced(), "guard_set", guardText(set),
		"guard_published", guardText(v.State.Guard()), "guard_operators", guardText(k.Operator.MinReplicas),
		"session", session, "lease_left", k.LeaseLeft(now).Round(time.Millisecond), "lock_holder", holder,
		"published", master, "term", v.State.Term(), "members", formatMembers(v.State.Members), "registered", k.Registered,
		"registered_as", shown.Role, "check", shown.Status, "output", shown.Output,
		"reason", k.Reason, "hidden", k.Hidden.By, "refuses", st.Refusing(), "next", why, "consul_index", v.Index,
	}
}

func guardText(s cluster.MinReplicas) string {
	if s.Replicas == cluster.GuardOff {
		return "off"
	}
	return fmt.Sprintf("%d within %ds", s.Replicas, s.MaxLag)
}

// formatMembers is each member with its recorded instance, and whether it is catching up.
func formatMembers(members map[string]cluster.MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(members)) {
		text := id + "=" + members[id].RunID
		if members[id].CatchingUp {
			text += " (catching up)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
