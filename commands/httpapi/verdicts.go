package httpapi

import (
	"fmt"

	"resec/commands/metrics"
	"resec/commands/report"
	"resec/handlers/redis"
)

// A verdict says whether a member is what a path asks for.
type verdict struct {
	ok   bool
	text string // one line: what the member is, or why it is not what is asked for
}

func unavailable(format string, args ...any) verdict {
	return verdict{text: fmt.Sprintf(format, args...)}
}

// master reports whether clients may write to this Redis.
func master(r report.Report) verdict {
	switch {
	case r.Why != "":
		return unavailable("%s", r.Why)
	case !r.Redis.Master:
		return unavailable("redis is a replica of %s", r.Redis.MasterAddr)
	case !r.Holds:
		return unavailable("redis is a master, but this member does not hold the lock")
	case !r.Published:
		return unavailable("redis is a master, but not the published one")
	case r.Redis.Fenced():
		return unavailable("the master is fenced: it refuses writes")
	case r.Redis.BelowMinReplicas():
		return unavailable("the master refuses writes: too few replicas are attached (min-replicas-to-write)")
	case r.Redis.Refusing() != "":
		return unavailable("the master refuses writes: %s", r.Redis.Refusing())
	}
	return verdict{true, fmt.Sprintf("master, term %d", r.Term)}
}

// noLimit as the limit of the replication lag: it may be any, and unknown.
const noLimit = -1

// replica reports whether clients may read from this Redis, which is at most maxLag bytes behind the master.
func replica(r report.Report, maxLag int64) verdict {
	v := streaming(r)
	if !v.ok || maxLag == noLimit {
		return v
	}
	if r.Behind == nil {
		return unavailable("the replication lag is unknown: the master %s did not answer", r.Master)
	}
	if *r.Behind > maxLag {
		return unavailable("redis is %d bytes behind the master", *r.Behind)
	}
	return v
}

// streaming reports whether this Redis replicates from the published master.
func streaming(r report.Report) verdict {
	switch {
	case r.Why != "":
		return unavailable("%s", r.Why)
	case r.Redis.Master:
		return unavailable("redis is a master")
	case r.Leaving:
		return unavailable("the agent is shutting down")
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
	case r.Differs != "":
		return unavailable("%s", r.Differs)
	case r.Behind == nil:
		return verdict{true, "replica of " + r.Master}
	}
	return verdict{true, fmt.Sprintf("replica of %s, %d bytes behind", r.Master, *r.Behind)}
}

// health reports whether a rolling update may go on with the next member. It may not while this member has not caught up, or
// while the master does not answer: what this member does not have yet would be lost with the next one. It may not if this member
// would refuse writes, because the next one may be the master.
func health(r report.Report) verdict {
	if r.Why == "" && r.Redis.Master {
		return master(r)
	}
	v := replica(r, noLimit)
	switch {
	case !v.ok:
		return v
	case r.Lacks != "":
		return unavailable("redis is not recorded as in sync with the master: %s", r.Lacks)
	case r.Behind == nil:
		return unavailable("the master %s does not answer", r.Master)
	case r.Redis.Refusing() != "":
		return unavailable("as a master redis would refuse writes: %s", r.Redis.Refusing())
	}
	return v
}

// gauges returns the report as gauges of /metrics.
func gauges(r report.Report) metrics.Now {
	n := metrics.Now{Healthy: health(r).ok, Term: r.Term, Lease: r.Lease, Behind: r.Behind}
	if r.Why != "" {
		return n
	}
	n.RefusesClients = r.Redis.RefusingClients() != ""
	n.Role, n.Offset, n.Refusals = "replica", &r.Redis.Position.Offset, map[string]bool{}
	for _, code := range redis.RefusalCodes {
		n.Refusals[string(code)] = false
	}
	for _, refusal := range r.Redis.Refusals {
		if refusal.Now {
			n.Refusals[string(refusal.Code)] = true
		}
	}
	if r.Redis.Master {
		n.Role = "master"
	}
	return n
}
