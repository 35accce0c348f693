package sentinel

import (
	"fmt"
	"net"
	"strconv"

	"resec/commands/topology"
)

// event is a message that subscribers get on the channel of its name.
type event struct{ channel, message string }

// events are what has happened between two topologies, in the order in which Sentinel's clients need it.
// Source: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages
//
// Sentinel itself publishes +switch-master only after it has reconfigured every replica. Here it comes first, because the new
// master accepts writes already. +replica-reconf-done is for go-redis, which alone knows that name. +slave is for node-redis,
// which does not listen to +switch-master.
func events(before, after Topology) []event {
	var out []event
	emit := func(channel, format string, args ...any) {
		out = append(out, event{channel, fmt.Sprintf(format, args...)})
	}
	masterEvents(before, after, emit)
	if after.Master.Addr == "" {
		return out
	}
	for _, r := range after.Replicas {
		replicaEvents(before, after, r, emit)
	}
	known := map[topology.Peer]bool{}
	for _, e := range before.Endpoints {
		known[e] = true
	}
	for _, e := range after.Endpoints {
		if !known[e] {
			host, port := hostPort(e.Addr)
			emit("+sentinel", "sentinel %s %s %s @ %s", e.ID, host, port, masterName(after))
		}
	}
	return out
}

// masterEvents are those of the master.
func masterEvents(before, after Topology, emit func(channel, format string, args ...any)) {
	was, is := before.Master, after.Master
	name := "master " + masterName(after)
	switch {
	case is.Addr == "":
		return
	case was.Addr == "":
		emit("+monitor", "%s quorum %d", name, quorum(after))
	case was.Addr != is.Addr:
		oldHost, oldPort := hostPort(was.Addr)
		host, port := hostPort(is.Addr)
		emit("+switch-master", "%s %s %s %s %s", after.Name, oldHost, oldPort, host, port)
		emit("+slave", "slave %s %s %s @ %s", was.Addr, oldHost, oldPort, masterName(after))
	case was.RunID != is.RunID && was.RunID != "" && is.RunID != "":
		emit("+reboot", "%s", name)
	}
	switch {
	case is.Gone && !was.Gone:
		emit("+sdown", "%s", name)
		emit("+odown", "%s #quorum %d/%d", name, quorum(after), quorum(after))
		emit("+elected-leader", "%s", name)
	case was.Gone && !is.Gone:
		emit("-sdown", "%s", name)
		emit("-odown", "%s", name)
	}
}

// replicaEvents are those of one replica.
func replicaEvents(before, after Topology, r topology.Instance, emit func(channel, format string, args ...any)) {
	was := replicaAt(before, r.Addr)
	host, port := hostPort(r.Addr)
	name := fmt.Sprintf("slave %s %s %s @ %s", r.Addr, host, port, masterName(after))
	switch {
	case was.Addr == "" && r.Addr != before.Master.Addr: // the message of its successor was enough
		emit("+slave", "%s", name)
	case was.Addr != "" && was.RunID != r.RunID && was.RunID != "" && r.RunID != "":
		emit("+reboot", "%s", name)
	}
	switch {
	case r.Up && was.Addr != "" && !was.Up:
		emit("-sdown", "%s", name)
	case !r.Up && (was.Addr == "" || was.Up):
		emit("+sdown", "%s", name)
	}
	if reconfigured(after, r) && !reconfigured(before, was) {
		emit("+slave-reconf-done", "%s", name)
		emit("+replica-reconf-done", "%s", name)
	}
}

// reconfigured reports whether a replica follows the master of this topology.
func reconfigured(t Topology, r topology.Instance) bool {
	return r.Up && r.Addr != "" && r.Term == t.Master.Term
}

// replicaAt returns what is known of a replica; the zero Instance if nothing is.
func replicaAt(t Topology, addr string) topology.Instance {
	for _, r := range t.Replicas {
		if r.Addr == addr {
			return r
		}
	}
	return topology.Instance{}
}

// masterName is how messages name the master: name, host and port.
func masterName(t Topology) string {
	host, port := hostPort(t.Master.Addr)
	return fmt.Sprintf("%s %s %s", t.Name, host, port)
}

// quorum is how many Sentinels would have to agree; here Consul decides.
func quorum(t Topology) int { return len(t.Endpoints)/2 + 1 }

// hostPort splits an address; one that cannot be split is all host.
func hostPort(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, "0"
	}
	return host, port
}

// joinPort is the opposite of hostPort.
func joinPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
