package httpapi

import (
	"fmt"

	"resec/commands/agent"
	"resec/commands/metrics"
)

// An answer is whether a member is what a path asks for, and in a few words what it is, or why it is not that.
type answer struct {
	ok   bool
	text string
}

func unavailable(format string, args ...any) answer {
	return answer{text: fmt.Sprintf(format, args...)}
}

// master: clients may write here.
func master(r agent.Report) answer {
	switch {
	case r.Why != "":
		return unavailable("%s", r.Why)
	case !r.Redis.Master:
		return unavailable("redis is a replica of %s", r.Redis.MasterAddr)
	case !r.Holds:
		return unavailable("redis is a master, and this member does not hold the lock")
	case !r.Published:
		return unavailable("redis is a master, and not the published one")
	case r.Redis.Fenced():
		return unavailable("the master is fenced: it refuses writes")
	case r.Redis.BelowMinReplicas():
		return unavailable("the master refuses writes for want of replicas")
	}
	return answer{true, fmt.Sprintf("master, term %d", r.Term)}
}

// noLimit is no bound on how far a replica may be behind.
const noLimit = -1

// replica: clients may read here what is no more than so many bytes behind.
func replica(r agent.Report, most int64) answer {
	switch {
	case r.Why != "":
		return unavailable("%s", r.Why)
	case r.Redis.Master:
		return unavailable("redis is a master")
	case r.Leaving:
		return unavailable("the agent leaves")
	case r.Master == "":
		return unavailable("no master is published")
	case r.Redis.Parked():
		return unavailable("redis is parked: it waits for a master")
	case !r.Follows:
		return unavailable("redis follows %s, which is not the published master", r.Redis.MasterAddr)
	case r.Redis.Syncing:
		return unavailable("redis is syncing from %s", r.Redis.MasterAddr)
	case !r.Redis.LinkUp:
		return unavailable("the link to %s is down", r.Redis.MasterAddr)
	case most >= 0 && r.Behind == nil:
		return unavailable("how far redis is behind is not known: the master %s did not say", r.Master)
	case most >= 0 && *r.Behind > most:
		return unavailable("redis is %d bytes behind the master", *r.Behind)
	case r.Behind == nil:
		return answer{true, "replica of " + r.Master}
	}
	return answer{true, fmt.Sprintf("replica of %s, %d bytes behind", r.Master, *r.Behind)}
}

// health: the next member may be taken away. What this one lacks, or a master that is not seen to live, is lost then.
func health(r agent.Report) answer {
	if r.Why == "" && r.Redis.Master {
		return master(r)
	}
	a := replica(r, noLimit)
	switch {
	case !a.ok:
		return a
	case r.Lacks != "":
		return unavailable("redis is not recorded as level with the master: %s", r.Lacks)
	case r.Behind == nil:
		return unavailable("the master %s does not answer", r.Master)
	}
	return a
}

// now is what is drawn.
func now(r agent.Report) metrics.Now {
	n := metrics.Now{Healthy: health(r).ok, Term: r.Term, Lease: r.Lease, Behind: r.Behind}
	if r.Why != "" {
		return n
	}
	n.Role, n.Offset = "replica", &r.Redis.Position.Offset
	if r.Redis.Master {
		n.Role = "master"
	}
	return n
}
