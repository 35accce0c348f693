package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// Member is one row of a report.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Role    string `json:"role"` // of its Redis: master or replica; unknown if that does not answer
	Holder  bool   `json:"holder"`
	Term    uint64 `json:"term"` // under which it is registered
	Link    string `json:"link"` // of a replica: up, down, syncing, parked
	Offset  int64  `json:"offset"`
	Behind  *int64 `json:"behind,omitempty"` // bytes behind the master; nil if its data has another replication ID
	Guard   string `json:"guard,omitempty"`  // of a master: "needed of attached" replicas, none or off; of any server: fence
	Check   string `json:"check"`            // passing, warning, critical; none if it is not registered
	Version string `json:"version,omitempty"`
	Note    string `json:"note,omitempty"`   // why it is not healthy
	Reason  string `json:"reason,omitempty"` // the code of the note: see reasons.go

	Source   string   `json:"source"`                // of this row: redis, agent or consul
	Age      *float64 `json:"age_seconds,omitempty"` // of the answer of its Redis
	Restarts int      `json:"restarts,omitempty"`    // of its Redis, lately
}

// election is what decides who may lead. It is nil if there is a master.
type election struct {
	eligibility cluster.Eligibility
	candidates  []cluster.Candidate
}

// newMember is the row of a member. master is the published master's status; nil if that does not answer as a master.
func newMember(a MemberStatus, holder string, s cluster.State, master *redis.Status, e *election) Member {
	m := Member{ID: a.ID, Address: a.Address, Role: "unknown", Holder: holder != "" &&
		a.ID == holder, Term: a.Term, Check: a.Check, Restarts: a.Restarts.Recent(time.Now())}
	same := note{}
	if a.Also != "" {
		same = note{sameID, "another live agent, of the redis at " + a.Also + ", has its MEMBER_ID"}
	}
	if a.Err != nil {
		m.Reason, m.Note = noAnswer, noAnswerText(a.Err)
		if a.Why != "" {
			m.Note += "; its agent says: " + a.Why
		}
		return m
	}
	st := a.Status
	m.Role, m.Offset, m.Version, m.Link = "replica", st.Position.Offset, st.Version, link(st)
	if st.Master {
		m.Role = "master"
	}
	m.Behind = behind(st, master)
	m.Guard = guard(st, s)
	why := first(same, noted(agentWaits, a.Why), refusal(a, s, e), problem(a, m.Link, s), noted(wrongAddress, a.WrongAddress),
		noted(restartedOften, unsteady(m.Restarts)))
	if often := unsteady(m.Restarts); often != "" && why.code != restartedOften {
		why.text += "; " + often
	}
	m.Reason, m.Note = why.code, why.text
	return m
}

// noAnswerText returns why a Redis did not answer this command. It is short if Redis refuses connections or is silent, because
// the row has its address.
func noAnswerText(err error) string {
	switch {
	case redis.Refused(err):
		return "redis refuses connections from here"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "redis does not answer here"
	case redis.AccessDenied(err):
		return redis.Summary(err)
	}
	return err.Error()
}

// checkNote says why a check is not passing. What an agent wrote last says nothing once it has not updated the check in time.
func checkNote(a MemberStatus) string {
	output := strings.TrimSpace(a.Output)
	if strings.HasPrefix(output, handlers.TTLExpired) {
		return "its agent has not updated its check in time: it is stopped, hangs, or does not reach consul"
	}
	return cmp.Or(output, "its check is "+a.Check)
}

// unsteady says that a Redis was restarted often.
func unsteady(restarts int) string {
	if restarts < cluster.ManyRestarts {
		return ""
	}
	return fmt.Sprintf("its redis was restarted %d times lately", restarts)
}

// behind is how many bytes of the master's stream a replica has not applied; nil if their offsets cannot be compared.
func behind(st redis.Status, master *redis.Status) *int64 {
	if st.Master || master == nil || st.Position.ReplID != master.Position.ReplID {
		return nil
	}
	n := max(0, master.Position.Offset-st.Position.Offset)
	return &n
}

// refusal says why a member may not follow or, without a master, not lead. Its agent writes the same into its check, but
// anti-entropy may bring that to Consul's servers minutes later.
func refusal(a MemberStatus, s cluster.State, e *election) note {
	if s.Master == nil || a.Status.Master && !a.Status.Fenced() {
		return note{}
	}
	if why := s.RefuseFollowReason(a.ID, a.Status); why != "" && a.Status.MasterAddr != s.Master.Address {
		return note{mayNotFollow, why}
	}
	if e == nil {
		return note{}
	}
	why := cmp.Or(a.Candidate().IneligibleReason(s, e.eligibility), cluster.HeldUpReason(a.ID, e.candidates, s, e.eligibility))
	if why == "" {
		return note{}
	}
	return note{mayNotLead, "may not lead: " + why}
}

// problem says why a member whose Redis answers is not healthy; nothing if it is. What Redis has just said counts first, then
// what its agent says: the output of its check may be minutes old on Consul's servers.
func problem(a MemberStatus, link string, s cluster.State) note {
	st := a.Status
	switch {
	case st.Master && st.Fenced():
		return note{fencedCode, "fenced: refuses writes"}
	case st.BelowMinReplicas():
		return note{tooFewReplicas, "refuses writes: fewer replicas than its guard, or its operator's min-replicas-to-write, needs"}
	case st.Master && (s.Master == nil || st.RunID != s.Master.RunID):
		return note{notPublished, "a master, but not the published one" + a.elsewhere()}
	case a.StreamErrors > 0:
		return note{streamErrors, cluster.StreamErrorsReason(a.StreamErrors)}
	case st.Refusing() != "" && st.Master:
		return note{refusesWrites, "refuses writes: " + st.Refusing()}
	case st.Refusing() != "":
		return note{wouldRefuse, "as a master it would refuse writes: " + st.Refusing()}
	case st.RefusingClients() != "":
		return note{refusesClients, st.RefusingClients()}
	case st.Loading:
		return note{loadingCode, "loading its data"}
	case st.Syncing:
		return note{syncingCode, "in a full sync from " + st.MasterAddr}
	case !st.Master && !st.Parked() && s.Master != nil && st.MasterAddr != s.Master.Address:
		return note{otherMaster, "replicates from " + st.MasterAddr}
	case link == "down":
		return note{linkDown, "replicates from " + st.MasterAddr + ", and the link is down"}
	case st.Parked():
		return note{parkedCode, parkedNote(a)}
	case a.Hidden != "":
		return note{hiddenCode, "clients cannot find it: " + a.Hidden}
	case a.Check == cluster.NotInCatalog:
		return note{notInCatalog, "not in the catalogue"}
	case a.Check == handlers.CheckWarning && s.Master != nil && st.Streaming() && st.MasterAddr == s.Master.Address:
		return note{checkLate, "its check in Consul is still " + a.Check} // and says why not: Redis has answered since
	case a.Check != handlers.CheckPassing:
		return note{checkFails, checkNote(a)}
	case !st.Master && s.Master != nil:
		return noted(notInSync, unrecorded(s.NotRecordedReason(a.ID, st.RunID)))
	case !st.Master:
		return note{otherMaster, "replicates from " + st.MasterAddr + ", and no master is published"}
	}
	return note{}
}

// elsewhere says why a live agent may have another master: it is not under this lock.
func (m MemberStatus) elsewhere() string {
	if m.key || !m.InCatalog() || !m.AgentAlive() {
		return ""
	}
	return "; its agent is alive and not under this lock: the members of one cluster have the same CONSUL_LOCK_KEY"
}

// unrecorded says that a replica could not take over from the master, although its link may be up: after a full sync the stream
// begins up to a second later.
func unrecorded(why string) string {
	if why == "" {
		return ""
	}
	return "not recorded as in sync with the master: " + why
}

// parkedNote says that a Redis is parked, and what its check says of that. The check may be older.
func parkedNote(a MemberStatus) string {
	output := strings.TrimSpace(a.Output)
	switch {
	case strings.HasPrefix(output, "parked"):
		return output
	case output == "" || a.Check == handlers.CheckPassing:
		return "parked; waits for a master"
	}
	return "parked; its check: " + output
}

// guard is what a server's min-replicas-to-write means for writes.
func guard(st redis.Status, s cluster.State) string {
	switch {
	case st.Fenced():
		return "fence"
	case !st.Master:
		return ""
	case s.Guard().Replicas == cluster.GuardOff:
		return "off"
	}
	needed := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}.Effective().Replicas
	if needed == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d", needed, st.Attached(st.MaxLag+1))
}

// link is the state of a replica's connection to its master.
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
