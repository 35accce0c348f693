package sentinel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"resec/commands/topology"
)

// ErrInProgress is returned by Options.Failover if an operator's request is under way already.
var ErrInProgress = errors.New("a request is under way")

// RefusedError is returned by Options.Failover if the cluster refuses a switchover. Its text is the reason.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// FailoverTimeout bounds the time until a switchover that a client asked for is done.
const FailoverTimeout = 5 * time.Second

// noMaster is the answer to a name that is not the cluster's.
const noMaster = failure("ERR No such master with that name")

// unsupported is the answer to a command that would change Sentinel's configuration.
const unsupported = failure("ERR resec has no configuration that a client could change: its agents read theirs from flags " +
	"and the environment")

// sentinelCommands are the subcommands of SENTINEL, with the names that Valkey has given them, too.
var sentinelCommands = map[string]command{
	"MASTERS":                 {run: masters},
	"PRIMARIES":               {run: masters},
	"MASTER":                  {min: 1, max: 1, run: ofMaster(master)},
	"PRIMARY":                 {min: 1, max: 1, run: ofMaster(master)},
	"REPLICAS":                {min: 1, max: 1, run: ofMaster(replicas)},
	"SLAVES":                  {min: 1, max: 1, run: ofMaster(replicas)},
	"SENTINELS":               {min: 1, max: 1, run: ofMaster(sentinels)},
	"GET-MASTER-ADDR-BY-NAME": {min: 1, max: 1, run: masterAddr},

	"GET-PRIMARY-ADDR-BY-NAME": {min: 1, max: 1, run: masterAddr},
	"IS-MASTER-DOWN-BY-ADDR":   {min: 4, max: 4, run: isDown},
	"IS-PRIMARY-DOWN-BY-ADDR":  {min: 4, max: 4, run: isDown},

	"CKQUORUM":        {min: 1, max: 1, run: ofMaster(checkQuorum)},
	"FAILOVER":        {min: 1, max: 1, run: ofMaster(failover)},
	"INFO-CACHE":      {min: 1, max: -1, run: infoCache},
	"MYID":            {run: func(c *conn, _ []string) reply { return text(c.server.ID()) }},
	"RESET":           {min: 1, max: 1, run: func(*conn, []string) reply { return number(0) }},
	"PENDING-SCRIPTS": {run: func(*conn, []string) reply { return array{} }},
	"FLUSHCONFIG":     {run: func(*conn, []string) reply { return ok }},

	"SET":              {max: -1, run: func(*conn, []string) reply { return unsupported }},
	"MONITOR":          {max: -1, run: func(*conn, []string) reply { return unsupported }},
	"REMOVE":           {max: -1, run: func(*conn, []string) reply { return unsupported }},
	"CONFIG":           {max: -1, run: func(*conn, []string) reply { return unsupported }},
	"DEBUG":            {max: -1, run: func(*conn, []string) reply { return unsupported }},
	"SIMULATE-FAILURE": {max: -1, run: func(*conn, []string) reply { return unsupported }},
}

// ofMaster is a command about the master of that name; any other name, and one whose master was never seen, is an error.
func ofMaster(run func(*conn, Topology) reply) func(*conn, []string) reply {
	return func(c *conn, args []string) reply {
		t := c.server.Topology()
		if args[0] != t.Name || t.Master.Addr == "" {
			return noMaster
		}
		return run(c, t)
	}
}

func masters(c *conn, _ []string) reply {
	t := c.server.Topology()
	if t.Master.Addr == "" {
		return array{}
	}
	return array{master(c, t)}
}

func master(c *conn, t Topology) reply {
	return masterRecord(t, c.server.ID(), c.server.DownAfter, time.Now())
}

func replicas(c *conn, t Topology) reply { return replicaRecords(t, c.server.DownAfter, time.Now()) }

func sentinels(c *conn, t Topology) reply {
	return endpointRecords(t, c.server.ID(), c.server.DownAfter)
}

func masterAddr(c *conn, args []string) reply {
	t := c.server.Topology()
	if args[0] != t.Name || t.Master.Addr == "" {
		return nullArray{}
	}
	return texts(hostPort(t.Master.Addr))
}

// isDown is what a Sentinel asks another: whether a master is down, and whom it votes for. An endpoint votes for nobody.
func isDown(c *conn, args []string) reply {
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return failure("ERR value is not an integer or out of range")
	}
	t, down := c.server.Topology(), 0
	if t.Master.Gone && t.Master.Addr == joinPort(args[0], port) {
		down = 1
	}
	return array{number(down), text("*"), number(0)}
}

// checkQuorum reports whether a failover is possible, which Consul decides.
func checkQuorum(_ *conn, t Topology) reply {
	n := max(1, len(t.Endpoints))
	if !t.Reachable {
		return failure(fmt.Sprintf("NOQUORUM %d usable Sentinels. Consul does not answer, so no failover can be authorized", n))
	}
	return simple(fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached", n))
}

func failover(c *conn, _ Topology) reply {
	if c.server.Failover == nil {
		return failure("ERR this endpoint starts no failover: use resec switchover")
	}
	if !c.mayMove() {
		return failure("ERR SENTINEL FAILOVER needs a password (SENTINEL_PASSWORD), or a client on this host")
	}
	if !c.server.moving.TryLock() {
		return failure("INPROG Failover already in progress")
	}
	defer c.server.moving.Unlock()
	ctx, cancel := context.WithTimeout(c.server.ctx, FailoverTimeout)
	defer cancel()
	var refused RefusedError
	switch err := c.server.Failover(ctx); {
	case err == nil:
		return ok
	case errors.Is(err, ErrInProgress):
		return failure("INPROG Failover already in progress")
	case errors.As(err, &refused):
		return failure("NOGOODSLAVE " + refused.Error())
	default:
		return failure("ERR " + err.Error())
	}
}

// mayMove reports whether a client may move the master: it has sent a password, or it is on this host.
func (c *conn) mayMove() bool {
	host, _, _ := net.SplitHostPort(c.raw.RemoteAddr().String())
	ip := net.ParseIP(host)
	return c.authenticated || ip != nil && ip.IsLoopback()
}

// infoCache are the answers to INFO that Sentinel would have kept: here only what the catalogue and the state say.
func infoCache(c *conn, names []string) reply {
	t := c.server.Topology()
	out := array{}
	for _, name := range names {
		if name != t.Name || t.Master.Addr == "" {
			continue
		}
		all := array{cached("master", t.Master)}
		for _, r := range t.Replicas {
			all = append(all, cached("slave", r))
		}
		out = append(out, text(name), all)
	}
	return out
}

func cached(role string, i topology.Instance) reply {
	if i.Gone {
		return array{number(0), null{}}
	}
	return array{number(0), text(fmt.Sprintf("# Server\r\nrun_id:%s\r\n\r\n# Replication\r\nrole:%s\r\n", i.RunID, role))}
}
