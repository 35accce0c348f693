package sentinel

import (
	"strconv"
	"time"

	"resec/commands/topology"
)

// masterRecord is the master as Sentinel describes it, for an endpoint with that id.
// What Sentinel measures by its own pings is 0: resec's agents ask Redis, and Consul tells us.
func masterRecord(t Topology, id string, downAfter time.Duration, now time.Time) record {
	flags := "master"
	if t.Master.Gone {
		flags = "s_down,o_down,master"
	}
	r := instanceRecord(t.Master, t.Name, flags, now)
	if t.Master.Gone {
		r = append(r, field{"s-down-time", since(t.Master.Since, now)}, field{"o-down-time", since(t.Master.Since, now)})
	}
	return append(append(r, role("master", t.Master, downAfter, now)...),
		field{"config-epoch", strconv.FormatUint(t.Master.Term, 10)},
		field{"num-slaves", strconv.Itoa(len(t.Replicas))},
		field{"num-other-sentinels", strconv.Itoa(len(t.Others(id)))},
		field{"quorum", strconv.Itoa(quorum(t))},
		field{"failover-timeout", "180000"},
		field{"parallel-syncs", strconv.Itoa(max(1, len(t.Replicas)))})
}

// replicaRecords are the replicas. One that does not stream is described as down, so that no client reads old data from it;
// Sentinel does that only for one that does not answer.
func replicaRecords(t Topology, downAfter time.Duration, now time.Time) array {
	host, port := hostPort(t.Master.Addr)
	out := array{}
	for _, r := range t.Replicas {
		flags, link, down := "slave", "ok", "0"
		if !r.Up {
			flags, link, down = "s_down,slave", "err", since(r.Since, now)
		}
		if r.Gone {
			flags = "s_down,slave,disconnected"
		}
		rec := instanceRecord(r, r.Addr, flags, now)
		if !r.Up {
			rec = append(rec, field{"s-down-time", down})
		}
		rec = append(append(rec, role("slave", r, downAfter, now)...),
			field{"master-link-down-time", down}, field{"master-link-status", link},
			field{"master-host", host}, field{"master-port", port},
			field{"slave-priority", "100"}, field{"slave-repl-offset", "0"}, field{"replica-announced", "1"})
		out = append(out, rec)
	}
	return out
}

// endpointRecords are the other endpoints.
func endpointRecords(t Topology, id string, downAfter time.Duration) array {
	out := array{}
	for _, e := range t.Others(id) {
		host, port := hostPort(e.Addr)
		rec := record{{"name", e.ID}, {"ip", host}, {"port", port}, {"runid", e.ID}, {"flags", "sentinel"}}
		rec = append(append(rec, links("0")...), milliseconds("down-after-milliseconds", downAfter),
			field{"last-hello-message", "0"}, field{"voted-leader", "?"}, field{"voted-leader-epoch", "0"})
		out = append(out, rec)
	}
	return out
}

// instanceRecord is what all records of instances begin with.
func instanceRecord(i topology.Instance, name, flags string, now time.Time) record {
	host, port := hostPort(i.Addr)
	answered := "0"
	if i.Gone {
		answered = since(i.Since, now)
	}
	return append(record{{"name", name}, {"ip", host}, {"port", port}, {"runid", i.RunID}, {"flags", flags}}, links(answered)...)
}

// links describe the connection that Sentinel would have. answered is how long ago it was answered, in ms.
func links(answered string) record {
	return record{{"link-pending-commands", "0"}, {"link-refcount", "1"}, {"last-ping-sent", "0"},
		{"last-ok-ping-reply", answered}, {"last-ping-reply", answered}}
}

// role describes since when an instance has its role.
func role(name string, i topology.Instance, downAfter time.Duration, now time.Time) record {
	return record{milliseconds("down-after-milliseconds", downAfter), {"info-refresh", "0"}, {"role-reported", name},
		{"role-reported-time", since(i.Since, now)}}
}

func milliseconds(name string, d time.Duration) field {
	return field{name, strconv.FormatInt(d.Milliseconds(), 10)}
}

// since is how long ago something was, in ms.
func since(then, now time.Time) string {
	return strconv.FormatInt(max(0, now.Sub(then).Milliseconds()), 10)
}
