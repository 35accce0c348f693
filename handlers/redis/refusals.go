package redis

import (
	"slices"
	"strings"
)

// A Refusal is why a server that answers is a worse master than its role and its data say: it refuses its clients' writes, or
// soon would, or it refuses new clients. A fence, a guard and an operator's min-replicas-to-write are none: their state is known,
// see Status.Fenced and Status.BelowMinReplicas.
//
// This file is the only place that says what makes a server refuse. Every view reads Status.Refusals through the methods below:
// the election, the check, HTTP, metrics, `resec status`, and both -dry-run.
type Refusal struct {
	Code RefusalCode `json:"code"`
	Text string      `json:"text"` // what is wrong with the server; it stays the same while the cause does
	Now  bool        `json:"now"`  // it refuses writes now, or would as a master; otherwise it soon would
	Wait bool        `json:"wait"` // it ends by itself, or by whoever began it: no other member is made master for it
}

// RefusalCode names a kind of refusal for programs.
type RefusalCode string

// The kinds of refusals.
const (
	RefusalDisk     RefusalCode = "disk"     // MISCONF: it cannot save its data
	RefusalMemory   RefusalCode = "memory"   // OOM: nothing may be evicted
	RefusalShutdown RefusalCode = "shutdown" // it waits for its replicas before it ends
	RefusalPaused   RefusalCode = "paused"   // somebody else holds its clients' writes back
	RefusalClients  RefusalCode = "clients"  // it refuses new clients; those that are connected write
)

// RefusalCodes are all kinds of refusals of writes.
var RefusalCodes = []RefusalCode{RefusalDisk, RefusalMemory, RefusalShutdown, RefusalPaused}

// refuses reports whether the server has a refusal of that kind.
func (s Status) refuses(code RefusalCode) bool {
	return slices.ContainsFunc(s.Refusals, func(r Refusal) bool { return r.Code == code })
}

// RefusesReplicas reports whether a new replica cannot attach to the server: with MISCONF it refuses the replica's PING, too. It
// executes no write command then. With OOM it still executes those that need no memory, such as DEL.
func (s Status) RefusesReplicas() bool { return s.refuses(RefusalDisk) }

// Refusing is why the server refuses writes now, or would if it were the master; empty: it takes them.
func (s Status) Refusing() string {
	for _, r := range s.Refusals {
		if r.Now {
			return r.Text
		}
	}
	return ""
}

// RefusingUntilMoved is Refusing without what ends by itself: another member as master is the remedy.
func (s Status) RefusingUntilMoved() string {
	for _, r := range s.Refusals {
		if r.Now && !r.Wait {
			return r.Text
		}
	}
	return ""
}

// RefusingClients is why the server refuses new clients; empty: it takes them. It makes no server unhealthy: a load balancer
// would close the connections that still work, and the clients would fill the next server.
func (s Status) RefusingClients() string {
	for _, r := range s.Refusals {
		if r.Code == RefusalClients {
			return r.Text
		}
	}
	return ""
}

// Drawback is why a server with the same data is preferred to this one as master; empty: nothing.
func (s Status) Drawback() string {
	if why := s.Refusing(); why != "" || len(s.Refusals) == 0 {
		return why
	}
	return s.Refusals[0].Text
}

// settingsOfSave are what decides whether a failed save makes a server refuse writes. INFO does not have them.
var settingsOfSave = []string{"stop-writes-on-bgsave-error", "save"}

// saveFailed reports whether a server's last save to disk failed.
func saveFailed(info map[string]string) bool { return info["rdb_last_bgsave_status"] == "err" }

// refusalsOf returns the refusals of a server by its INFO, the one that refuses now first. The settings are those whose name has
// "replica" and, if the last save failed, settingsOfSave.
func refusalsOf(info, settings map[string]string) (out []Refusal) {
	if info["shutdown_in_milliseconds"] != "" { // only while it is shutting down
		out = append(out, Refusal{Code: RefusalShutdown, Text: "it is shutting down", Now: true})
	}
	if text := diskRefusal(info, settings); text != "" {
		out = append(out, Refusal{Code: RefusalDisk, Text: text, Now: true})
	}
	if text := pausedRefusal(info); text != "" {
		out = append(out, Refusal{Code: RefusalPaused, Text: text, Now: true, Wait: true})
	}
	if r, is := memoryRefusal(info); is {
		out = append(out, r)
	}
	if text := evictionText(info, settings); text != "" {
		out = append(out, Refusal{Code: RefusalMemory, Text: text})
	}
	if text := clientsRefusal(info); text != "" {
		out = append(out, Refusal{Code: RefusalClients, Text: text})
	}
	return out
}

// clientsRefusal says that a server has as many connections as it may have. INFO counts its replicas apart from its clients.
// Source: acceptCommonHandler in https://github.com/redis/redis/blob/7.0/src/networking.c
func clientsRefusal(info map[string]string) string {
	limit := number(info, "maxclients")
	connected := number(info, "connected_clients") + number(info, "connected_slaves") + number(info, "cluster_connections")
	if limit <= 0 || connected < limit {
		return ""
	}
	return "it refuses new clients: maxclients is " + info["maxclients"]
}

// diskRefusal says why a server answers writes with MISCONF.
// Source: writeCommandsDeniedByDiskError in https://github.com/redis/redis/blob/7.0/src/server.c
func diskRefusal(info, save map[string]string) string {
	if saveFailed(info) && save["stop-writes-on-bgsave-error"] == "yes" && save["save"] != "" {
		return "it cannot save its data to disk (MISCONF, stop-writes-on-bgsave-error)"
	}
	if info["aof_enabled"] == "1" && info["aof_last_write_status"] == "err" {
		return "it cannot write its append-only file to disk (MISCONF)"
	}
	return ""
}

// pausedRefusal says who holds clients' writes back. INFO of Redis, up to 8.0, shows a FAILOVER but no CLIENT PAUSE; that of
// Valkey, from 8.1, shows both.
func pausedRefusal(info map[string]string) string {
	if state := info["master_failover_state"]; state != "" && state != "no-failover" {
		return "the command FAILOVER holds its writes back (" + state + "); `FAILOVER ABORT` ends that"
	}
	if info["paused_reason"] == "client_pause" {
		return "the command CLIENT PAUSE holds its writes back; `CLIENT UNPAUSE` ends that"
	}
	return ""
}

// evictionText says that a replica has evicted keys by itself, so that it may lack some that its master has. By default a replica
// leaves that to its master. Keys that it has evicted as a master count, too: Redis does not tell them apart.
func evictionText(info, settings map[string]string) string {
	if info["role"] != "slave" || settings["replica-ignore-maxmemory"] != "no" || number(info, "evicted_keys") == 0 {
		return ""
	}
	return "it evicts keys that its master may have (replica-ignore-maxmemory no)"
}

// nearlyFull is the share of maxmemory, in percent, from which on a server soon answers OOM. A member that takes over from a full
// one must have more room than that, or mastership would move again and again.
const nearlyFull = 90

// memoryRefusal says whether a server answers writes with OOM, or soon would. One that may drop keys makes room instead.
// Source: https://redis.io/docs/latest/develop/reference/eviction/
func memoryRefusal(info map[string]string) (r Refusal, is bool) {
	limit, policy := number(info, "maxmemory"), info["maxmemory_policy"]
	mayEvict := strings.HasPrefix(policy, "allkeys-") || strings.HasPrefix(policy, "volatile-") && countKeys(info, "expires=") > 0
	if limit <= 0 || policy == "" || mayEvict {
		return r, false
	}
	used := number(info, "used_memory") - number(info, "mem_not_counted_for_evict")
	r = Refusal{Code: RefusalMemory, Now: used > limit}
	setting := " (OOM): maxmemory is " + info["maxmemory"] + ", and nothing may be evicted (" + policy + ")"
	r.Text = "its memory is nearly full" + setting
	if r.Now {
		r.Text = "its memory is full" + setting
	}
	return r, used > limit/100*nearlyFull
}
