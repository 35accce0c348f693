package web

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

func no(format string, args ...any) answer { return answer{text: fmt.Sprintf(format, args...)} }

// master: clients may write here.
func master(r agent.Report) answer {
	switch {
	case r.Why != "":
		return no("%s", r.Why)
	case !r.Redis.Master:
		return no("redis is a replica of %s", r.Redis.Of)
	case !r.Holds:
		return no("redis is a master, and this member does not hold the lock")
	case !r.Published:
		return no("redis is a master, and not the published one")
	case r.Redis.Fenced():
		return no("the master is fenced: it refuses writes")
	case r.Redis.Closed():
		return no("the master refuses writes for want of replicas")
	}
	return answer{true, fmt.Sprintf("master, term %d", r.Term)}
}

// unbound is no bound on how far a replica may be behind.
const unbound = -1

// replica: clients may read here what is no more than so many bytes behind.
func replica(r agent.Report, most int64) answer {
	switch {
	case r.Why != "":
		return no("%s", r.Why)
	case r.Redis.Master:
		return no("redis is a master")
	case r.Leaving:
		return no("the agent leaves")
	case r.Master == "":
		return no("no master is published")
	case r.Redis.Parked():
		return no("redis is parked: it waits for a master")
	case !r.Follows:
		return no("redis follows %s, which is not the published master", r.Redis.Of)
	case r.Redis.Syncing:
		return no("redis is syncing from %s", r.Redis.Of)
	case !r.Redis.LinkUp:
		return no("the link to %s is down", r.Redis.Of)
	case most >= 0 && r.Behind == nil:
		return no("how far redis is behind is not known: the master %s did not say", r.Master)
	case most >= 0 && *r.Behind > most:
		return no("redis is %d bytes behind the master", *r.Behind)
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
	a := replica(r, unbound)
	switch {
	case !a.ok:
		return a
	case r.Lacks != "":
		return no("redis is not recorded as level with the master: %s", r.Lacks)
	case r.Behind == nil:
		return no("the master %s does not answer", r.Master)
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
