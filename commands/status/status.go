// Package status describes a cluster, from the lock, the catalogue and the Redis servers themselves.
// It owns nothing: Probe starts a goroutine for each member and joins it. The other functions only compute.
package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// Codes of a Report. They are also the exit codes of `resec status`.
const (
	Healthy = iota
	Degraded
	NoMaster
)

// Report describes the cluster at one moment.
type Report struct {
	Code    int      `json:"code"`
	Verdict string   `json:"verdict"`
	Reasons []string `json:"reasons,omitempty"` // codes of the verdict and of the notes, each once: of the cluster, then of members
	Holder  string   `json:"holder,omitempty"`  // of the lock
	Term    uint64   `json:"term"`
	Paused  string   `json:"paused,omitempty"` // until when, and why
	Members []Member `json:"members"`
	Left    []string `json:"left,omitempty"` // ids of members that were removed: their agents were stopped, or they were forgotten

	Warnings []string `json:"warnings,omitempty"` // what does no harm now and will
}

// MemberStatus is a member with the answer of its Redis.
type MemberStatus struct {
	cluster.Member
	Status redis.Status
	Err    error     // its Redis did not answer, denied access, or another Redis answered in its place
	At     time.Time // when it answered

	StreamErrors int64  // of its Redis: see cluster.View.StreamErrors
	LostData     bool   // of its Redis: see cluster.View.LostData
	key          bool   // its agent has a member key under this lock
	WrongAddress string // why its announced address is wrong, as other members report; empty: it is not known to be
}

// Candidate is the member as the election ranks it.
func (m MemberStatus) Candidate() cluster.Candidate {
	return cluster.Candidate{ID: m.ID, AgentAlive: m.AgentAlive(), InCatalog: m.InCatalog(), Hidden: m.Hidden, Refused: m.Refused,
		WrongAddress: m.WrongAddress != "", Status: m.Status, StreamErrors: m.StreamErrors, LostData: m.LostData}
}

// Probe asks the Redis of every member, all at once, and returns the answers sorted by id. A member that does not answer at its
// address, or in whose place another one answers, is asked at the others that v has of it.
func Probe(ctx context.Context, members []cluster.Member, v cluster.View, opt redis.Options) []MemberStatus {
	out := make([]MemberStatus, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			out[i] = probe(ctx, m, v, opt)
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b MemberStatus) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// probe asks one member.
func probe(ctx context.Context, m cluster.Member, v cluster.View, opt redis.Options) MemberStatus {
	st, err := handlers.Probe(ctx, opt.At(m.Address))
	if e := v.CheckMember(m.ID, st, cluster.Instance{}); err == nil && errors.Is(e, cluster.ErrWrongAddress) {
		st, err = redis.Status{}, e
	}
	others := cluster.OtherAddresses(m, v)
	if redis.Refused(err) && m.NodeAddress != "" {
		others = append(others, m.NodeAddress)
	}
	for _, addr := range others {
		if err == nil {
			break
		}
		if there, e := handlers.Probe(ctx, opt.At(addr)); e == nil && v.OwnsRun(m.ID, there.RunID) {
			m.Address, st, err = addr, there, nil
		}
	}
	return MemberStatus{Member: m, Status: st, Err: err, At: time.Now(), StreamErrors: v.StreamErrors(m.ID, st),
		LostData: v.LostData(m.ID, st), key: v.LiveAgents[m.ID].Session != ""}
}

// Candidates are the members whose Redis answered.
func Candidates(answers []MemberStatus) (cs []cluster.Candidate) {
	for _, a := range answers {
		if a.Err == nil {
			cs = append(cs, a.Candidate())
		}
	}
	return cs
}

// New makes the report from the lock and the answers of the members.
func New(v cluster.View, answers []MemberStatus) Report {
	r := Report{Holder: v.Holder, Term: v.State.Term(), Members: []Member{}} // none is [] in JSON, not null
	if v.Free() {
		r.Holder = ""
	}
	master := publishedMaster(v.State.Master, answers)
	vouched := master == nil && agentVouches(v, answers)
	var elects *election
	if master == nil && !vouched {
		candidates := Candidates(answers)
		elects = &election{v.State.Eligibility(candidates, false), candidates}
	}
	for _, a := range answers {
		m := newMember(a, r.Holder, v.State, master, elects)
		m.Source, m.Age = source(a, v, time.Now())
		if vouched && a.ID == v.State.Master.ID {
			m.Role, m.Note = "master", m.Note+"; its agent says that it is the master"
		}
		r.Members = append(r.Members, m)
	}
	r.Warnings = warnings(v, answers)
	r.Members = append(r.Members, goneMembers(v, answers)...)
	r.Left = slices.DeleteFunc(slices.Clone(v.State.FormerMembers), func(id string) bool {
		return slices.ContainsFunc(r.Members, func(m Member) bool { return m.ID == id })
	})
	r.Code, r.Verdict, r.Reasons = verdict(v, r.Members, master, errorOf(v.State.Master, answers), vouched)
	if v.Pause.Active(time.Now()) {
		r.Paused = v.Pause.String()
		r.Verdict = r.Paused + "; " + r.Verdict
	}
	return r
}

// publishedMaster is the status of the published master, or nil if its instance does not answer as a master.
func publishedMaster(m *cluster.Master, answers []MemberStatus) *redis.Status {
	if m == nil {
		return nil
	}
	for i, a := range answers {
		if a.Err == nil && a.Status.Master && a.Status.RunID == m.RunID {
			return &answers[i].Status
		}
	}
	return nil
}

// errorOf is why the published master did not answer; nil if it did, or none is published.
func errorOf(m *cluster.Master, answers []MemberStatus) error {
	for _, a := range answers {
		if m != nil && a.ID == m.ID {
			return a.Err
		}
	}
	return nil
}

// verdict is the code of a report, one line that says why, and the codes of that line and of the members' notes. masterErr
// is why the published master did not answer. vouched: see agentVouches.
func verdict(v cluster.View, members []Member, master *redis.Status, masterErr error, vouched bool) (
	code int, text string, reasons []string) {
	problems, replicas := clusterNotes(v), 0
	for _, m := range members {
		if m.Note != "" {
			problems = append(problems, note{m.Reason, m.ID + ": " + m.Note})
		}
		if m.Link == "up" && m.Reason != otherMaster {
			replicas++
		}
	}
	if why := noMaster(v, members, master, masterErr); why.text != "" && (!vouched || v.Err != nil) {
		_, reasons = joined(slices.Insert(problems, 0, why))
		return NoMaster, "no master: " + why.text, reasons
	}
	summary := fmt.Sprintf("master %s, term %d, %d streaming replicas", v.State.Master.ID, v.State.Term(), replicas)
	if len(problems) > 0 {
		text, reasons = joined(problems)
		return Degraded, "degraded: " + summary + "; " + text, reasons
	}
	return Healthy, "healthy: " + summary, nil
}

// clusterNotes say what is wrong with the lock.
func clusterNotes(v cluster.View) []note {
	switch m := v.State.Master; {
	case v.Free():
		return []note{{lockFree, "the lock is free"}}
	case m != nil && v.Holder != m.ID:
		return []note{{lockElsewhere, "the lock is held by " + v.Holder}}
	}
	return nil
}

// joined are the texts of notes in one line, and their codes, each once.
func joined(notes []note) (text string, codes []string) {
	var texts []string
	for _, n := range notes {
		texts = append(texts, n.text)
		if n.code != "" && !slices.Contains(codes, n.code) {
			codes = append(codes, n.code)
		}
	}
	return strings.Join(texts, "; "), codes
}

// noMaster says why the cluster has no master that accepts writes; nothing if it has one. masterErr is why the published master
// did not answer.
func noMaster(v cluster.View, members []Member, master *redis.Status, masterErr error) note {
	published := ""
	if m := v.State.Master; m != nil {
		published = "the published master " + m.ID
	}
	switch {
	case v.Err != nil:
		return note{stateUnread, v.Err.Error()}
	case master == nil && v.State.Master == nil:
		return note{noMasterYet, "none was published yet under this lock key" + noMembers(members)}
	case errors.Is(masterErr, cluster.ErrWrongAddress):
		return note{wrongAddress, published + " is not to be found: " + masterErr.Error()}
	case master == nil && masterErr != nil && redis.Replied(masterErr):
		return note{masterNoAnswer, published + " cannot be asked: " + redis.Summary(masterErr)}
	case master == nil:
		return note{masterNoAnswer, published + " is down, unreachable, restarted or a replica"}
	case master.Fenced():
		return note{fencedCode, published + " is fenced: it refuses writes"}
	case master.BelowMinReplicas():
		return note{tooFewReplicas, published + " refuses writes: it has too few replicas"}
	}
	return note{}
}

// noMembers says what to do if no member is known.
func noMembers(members []Member) string {
	if len(members) > 0 {
		return ""
	}
	return ", and no agent is registered: start one, or correct CONSUL_LOCK_KEY and the service name " +
		"(CONSUL_SERVICE_PREFIX or CONSUL_SERVICE_NAME)"
}
