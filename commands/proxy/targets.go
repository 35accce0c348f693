package proxy

import (
	"resec/commands/topology"
	"resec/handlers/redis"
)

// view is what a router knows at one moment. Its map is never changed in place.
type view struct {
	topology topology.Topology
	health   map[string]redis.Health // by address, of the servers that are watched
}

// master returns the master, if it is one by its own words: the run that the topology names, in the role of a master.
func (v view) master() (topology.Instance, bool) {
	return v.topology.Master, v.noMasterReason() == ""
}

// noMasterReason says why there is no master to connect clients to; empty if there is one.
func (v view) noMasterReason() string {
	m := v.topology.Master
	h, watched := v.health[m.Addr]
	_, verified := v.verified(m)
	switch {
	case m.Addr == "":
		return "consul shows none"
	case !m.Up:
		return "the check of " + m.ID + " in consul is not passing"
	case !watched:
		return "redis at " + m.Addr + " has not answered yet"
	case h.Err != nil:
		return "redis at " + m.Addr + ": " + redis.Summary(h.Err)
	case !verified:
		return "redis at " + m.Addr + " is loading, or is another one than the published"
	case !h.Status.Master:
		return "redis at " + m.Addr + " says that it is a replica"
	}
	return ""
}

// replicas returns those that stream, and that are at most maxLag bytes behind the master; below 0: however far.
func (v view) replicas(maxLag int64) (out []topology.Instance) {
	_, known := v.master()
	end := v.health[v.topology.Master.Addr].Status.Position.Offset
	for _, r := range v.topology.Replicas {
		st, verified := v.verified(r)
		if !r.Up || !verified || !st.Streaming() {
			continue
		}
		if maxLag < 0 || known && end-st.Position.Offset <= maxLag {
			out = append(out, r)
		}
	}
	return out
}

// stays reports whether the clients of an instance may stay: as long as no other run is the master. While there is none they may,
// because nothing better is known.
func (v view) stays(i topology.Instance) bool {
	m, known := v.master()
	return !known || m.Addr == i.Addr && m.RunID == i.RunID
}

// verified returns the status of an instance, and reports whether the Redis at its address has answered, and is that run.
func (v view) verified(i topology.Instance) (redis.Status, bool) {
	h, watched := v.health[i.Addr]
	st := h.Status
	return st, watched && h.Err == nil && !st.Loading && (i.RunID == "" || i.RunID == st.RunID)
}
