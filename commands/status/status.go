// Package status tells how a cluster is, from the lock, the catalogue and the Redis servers themselves.
package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// Codes of a Report.
const (
	Healthy = iota
	Degraded
	NoMaster
)

// Report is the cluster at one moment.
type Report struct {
	Code    int      `json:"code"`
	Verdict string   `json:"verdict"`
	Holder  string   `json:"holder,omitempty"` // of the lock
	Term    uint64   `json:"term"`
	Paused  string   `json:"paused,omitempty"` // until when, and why
	Members []Member `json:"members"`
}

// Member is one row.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Role    string `json:"role"` // what its Redis says: master, replica; unknown when it does not answer
	Holder  bool   `json:"holder"`
	Term    uint64 `json:"term"` // under which it is registered
	Link    string `json:"link"` // of a replica: up, down, syncing, parked
	Offset  int64  `json:"offset"`
	Behind  *int64 `json:"behind,omitempty"` // bytes behind the master, where the two compare
	Guard   string `json:"guard,omitempty"`  // of a master: how many it needs to accept writes, of those that are attached; none, off; of any server: fence
	Check   string `json:"check"`            // passing, warning, critical; none when it is not registered
	Version string `json:"version,omitempty"`
	Note    string `json:"note,omitempty"` // what keeps it from being healthy
}

// MemberStatus is what one member's Redis said.
type MemberStatus struct {
	cluster.Member
	Status redis.Status
	Err    error
}

// Probe asks every member's Redis, all at once.
func Probe(ctx context.Context, members []cluster.Member, opt redis.Options) []MemberStatus {
	out := make([]MemberStatus, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			o := opt
			o.Addr = m.Address
			st, err := handlers.Probe(ctx, o)
			out[i] = MemberStatus{m, st, err}
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b MemberStatus) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// New draws the conclusions.
func New(v cluster.View, answers []MemberStatus) Report {
	r := Report{Holder: v.Holder, Term: v.State.Term()}
	if v.Free() {
		r.Holder = ""
	}
	var master *redis.Status
	for i, a := range answers {
		if m := v.State.Master; a.Err == nil && m != nil && a.Status.RunID == m.RunID && a.Status.Master {
			master = &answers[i].Status
		}
	}
	binds := v.State.Eligibility(Candidates(answers), false)
	for _, a := range answers {
		m := member(a, r.Holder, v.State, master)
		if why := cmp.Or(a.Why, barred(a, v.State, master, binds)); why != "" && a.Err == nil {
			m.Note = why
		}
		r.Members = append(r.Members, m)
	}
	r.Code, r.Verdict = verdict(v, r.Members, master)
	if v.Pause.Active(time.Now()) {
		r.Paused = v.Pause.String()
		r.Verdict = r.Paused + "; " + r.Verdict
	}
	return r
}

// Candidates are those who answered.
func Candidates(answers []MemberStatus) (cs []cluster.Candidate) {
	for _, a := range answers {
		if a.Err == nil {
			cs = append(cs, cluster.Candidate{ID: a.ID, AgentAlive: a.AgentAlive(), InCatalog: a.InCatalog(), Status: a.Status})
		}
	}
	return cs
}

// barred says why a member is kept from following, or, where there is no master, from leading. Its agent says so in its
// check as well, but Consul's servers may learn of that minutes later.
func barred(a MemberStatus, s cluster.State, master *redis.Status, binds cluster.Eligibility) string {
	if a.Err != nil || a.Status.Master && !a.Status.Fenced() {
		return ""
	}
	if why := s.RefuseFollowReason(a.ID, a.Status); why != "" && a.Status.MasterAddr != s.Master.Address {
		return why
	}
	if why := (cluster.Candidate{ID: a.ID, Status: a.Status}).IneligibleReason(s, binds); master == nil && s.Master != nil && why != "" {
		return "may not lead: " + why
	}
	return ""
}

func member(a MemberStatus, holder string, s cluster.State, master *redis.Status) Member {
	m := Member{ID: a.ID, Address: a.Address, Role: "unknown", Holder: holder != "" && a.ID == holder, Term: a.Term, Check: a.Check}
	if a.Err != nil {
		m.Note = a.Err.Error()
		return m
	}
	st := a.Status
	m.Role, m.Offset, m.Version, m.Link = "replica", st.Position.Offset, st.Version, link(st)
	if st.Master {
		m.Role = "master"
	} else if master != nil && st.Position.ReplID == master.Position.ReplID {
		behind := max(0, master.Position.Offset-st.Position.Offset)
		m.Behind = &behind
	}
	m.Guard = guard(st, s)
	switch {
	case st.Master && st.Fenced():
		m.Note = "fenced: refuses writes"
	case st.BelowMinReplicas():
		m.Note = "refuses writes: it has fewer replicas than its guard needs"
	case st.Master && (s.Master == nil || st.RunID != s.Master.RunID):
		m.Note = "a master that is not the published one"
	case m.Check == cluster.NotInCatalog:
		m.Note = "not in the catalogue"
	case m.Check != "passing":
		m.Note = cmp.Or(strings.TrimSpace(a.Output), "its check is "+m.Check)
	case !st.Master && (m.Link != "up" || s.Master != nil && st.MasterAddr != s.Master.Address):
		m.Note = "follows " + st.MasterAddr
	}
	return m
}

// guard is what a server's min-replicas-to-write amounts to.
func guard(st redis.Status, s cluster.State) string {
	switch {
	case st.Fenced():
		return "fence"
	case !st.Master:
		return ""
	case s.Guard().Replicas == cluster.GuardOff:
		return "off"
	}
	needs := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}.Effective().Replicas
	if needs == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d", needs, st.Attached(st.MaxLag+1))
}

func link(st redis.Status) string {
	switch {
	case st.Master:
		return ""
	case st.Parked():
		return "parked"
	case st.Syncing:
		return "syncing"
	case st.LinkUp:
		return "up"
	}
	return "down"
}

// verdict is one line.
func verdict(v cluster.View, members []Member, master *redis.Status) (int, string) {
	switch {
	case v.Err != nil:
		return NoMaster, "no master: " + v.Err.Error()
	case master == nil && v.State.Master == nil:
		return NoMaster, "no master: none was ever published under this lock key"
	case master == nil:
		return NoMaster, "no master: the published one, " + v.State.Master.ID + ", is not to be found"
	case master.Fenced():
		return NoMaster, "no master: the published one, " + v.State.Master.ID + ", refuses writes"
	case master.BelowMinReplicas():
		return NoMaster, "no master: the published one, " + v.State.Master.ID + ", refuses writes for want of replicas"
	}
	var ill []string
	switch {
	case v.Free():
		ill = append(ill, "nobody holds the lock")
	case v.Holder != v.State.Master.ID:
		ill = append(ill, "the lock is held by "+v.Holder)
	}
	replicas := 0
	for _, m := range members {
		if m.Note != "" {
			ill = append(ill, m.ID+": "+m.Note)
		} else if m.Role == "replica" {
			replicas++
		}
	}
	head := fmt.Sprintf("master %s, term %d, %d linked replicas", v.State.Master.ID, v.State.Term(), replicas)
	if len(ill) > 0 {
		return Degraded, "degraded: " + head + "; " + strings.Join(ill, "; ")
	}
	return Healthy, "healthy: " + head
}
