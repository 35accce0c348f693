package commands

import (
	"slices"

	"resec/handlers"
)

// The topics under which the help and the pages list the settings.
const (
	topicRedis     = "Redis"
	topicConsul    = "Consul"
	topicElection  = "Election and guard"
	topicService   = "Service"
	topicSentinel  = "Sentinel endpoint"
	topicProxy     = "Proxy"
	topicOperation = "Operation"
	topicLogging   = "Logging"
)

// settings are the settings of the given groups, by topic, in the order of the help and of the reference.
func (c *config) settings(want group) []setting {
	var out []setting
	for _, part := range []struct {
		topic    string
		settings [][]setting
	}{
		{topicRedis, [][]setting{c.redisAddrSettings(), c.probeSettings(), c.redisSettings()}},
		{topicConsul, [][]setting{c.consulSettings()}},
		{topicElection, [][]setting{c.lockSettings(), c.guardSettings()}},
		{topicService, [][]setting{c.nameSettings()}},
		{topicSentinel, [][]setting{c.sentinelSettings(want)}},
		{topicProxy, [][]setting{c.proxySettings()}},
		{topicOperation, [][]setting{c.operationSettings(want)}},
		{topicLogging, [][]setting{c.logSettings()}},
	} {
		for _, s := range slices.Concat(part.settings...) {
			if s.group&want != 0 {
				s.topic = part.topic
				out = append(out, s)
			}
		}
	}
	return out
}

// nameSettings are the names of the member and its services.
func (c *config) nameSettings() []setting {
	return []setting{
		{name: "announce-addr", env: "ANNOUNCE_ADDR", takes: "host:port, :port or port", set: orNone(c.setAnnounce),
			group: forService,
			usage: "address registered in Consul as host:port; without a host it is the address of the Consul node"},
		{name: "member-id", env: "MEMBER_ID", takes: "a name of ASCII without blanks, at most 255 bytes", set: c.setMember,
			group: forCluster,
			usage: "name of this member, unique in the cluster (default: <Consul node>/<service ID>)"},
		{name: "consul-service-prefix", env: "CONSUL_SERVICE_PREFIX", def: "redis", takes: "a service name of at most 255 bytes",
			set: name(&c.naming.Prefix, false), group: forCluster, usage: "name the services <prefix>-master and <prefix>-slave"},
		{name: "consul-service-name", env: "CONSUL_SERVICE_NAME", takes: "a service name of at most 255 bytes",
			set: name(&c.naming.Service, true), group: forCluster,
			usage: "register one service of this name instead; its tags tell master and replica apart"},
		{name: "consul-master-tags", env: "MASTER_TAGS", takes: "unquoted tags, comma-separated",
			set: list(&c.naming.MasterTags), group: forCluster, usage: "tags of the master, comma-separated"},
		{name: "consul-slave-tags", env: "SLAVE_TAGS", takes: "unquoted tags, comma-separated",
			set: list(&c.naming.ReplicaTags), group: forCluster, usage: "tags of a replica, comma-separated"},
		{name: "consul-deregister-service-after", env: "CONSUL_DEREGISTER_SERVICE_AFTER", def: "72h", takes: duration,
			set: positive(&c.deregister), group: forService | forEndpoint | forProxy,
			usage: "Consul removes a service whose check is critical for this long"},
	}
}

// lockSettings describe the lock and its session.
func (c *config) lockSettings() []setting {
	return []setting{
		{name: "consul-lock-key", env: "CONSUL_LOCK_KEY", def: "resec/.lock", set: c.setKey, group: forCluster,
			takes: "a key that does not begin or end with a slash and has no empty part, . or .. in it",
			usage: "key of the lock in Consul's KV store, one per cluster"},
		{name: "consul-lock-ttl", env: "CONSUL_LOCK_TTL", def: "15s", takes: duration, set: positive(&c.lockTTL), group: forElect,
			usage: "TTL of the session that holds the lock"},
		{name: "consul-lock-session-name", env: "CONSUL_LOCK_SESSION_NAME", def: "resec", takes: "a name",
			set:   text(&c.sessionName),
			group: forElect, usage: "name of the session that holds the lock"},
	}
}

// probeSettings describe the probe of Redis.
func (c *config) probeSettings() []setting {
	return []setting{
		{name: "healthcheck-interval", env: "HEALTHCHECK_INTERVAL", def: "5s", takes: duration, set: positive(&c.interval),
			group: forService | forEndpoint | forProxy,
			usage: "time between two probes of Redis; the check's TTL in Consul is twice this"},
		{name: "healthcheck-timeout", env: "HEALTHCHECK_TIMEOUT", def: "2s", takes: duration, set: positive(&c.timeout),
			group: forRedis | forProxy, usage: "a Redis that does not answer within this time fails the probe"},
		{name: "healthcheck-failures", env: "HEALTHCHECK_FAILURES", def: "1", takes: "a whole number from 1", set: c.setFailures,
			group: forService, usage: "number of failed probes in a row after which Redis is unhealthy"},
	}
}

// redisAddrSettings are the address of this member's Redis.
func (c *config) redisAddrSettings() []setting {
	return []setting{
		{name: "redis-addr", env: "REDIS_ADDR", def: "127.0.0.1:6379", takes: hostPort, set: c.setRedis, group: forRedis,
			usage: "address of the Redis server as host:port"},
	}
}

// guardSettings are those of the agent's election, beside the lock.
func (c *config) guardSettings() []setting {
	return []setting{
		{name: "guard", env: "GUARD", def: "auto", takes: "auto, off or a whole number from 1 to 100", set: c.setGuard, group: forAgent,
			usage: "min-replicas-to-write of the master: a number from 1 to 100, auto (half of the other members) or off"},
		{name: "guard-max-lag", env: "GUARD_MAX_LAG", def: "5s", takes: "a duration of whole seconds, from 1s",
			set:   c.setGuardMaxLag,
			group: forAgent, usage: "min-replicas-max-lag of the master, in whole seconds"},
		{name: "bootstrap-expect", env: "BOOTSTRAP_EXPECT", takes: "a whole number from 1 to 100", set: orNone(c.setExpect),
			group: forAgent,
			usage: "number of members with which the first master is elected, at once, and never with fewer"},
		{name: "early-takeover", env: "EARLY_TAKEOVER", def: "true", takes: trueFalse, set: boolean(&c.early), bare: true,
			group: forAgent,
			usage: "destroy the session of a lock holder that is proven down, instead of waiting for its TTL"},
	}
}

// operationSettings are what the agent offers to operators.
func (c *config) operationSettings(want group) []setting {
	paths := "/health, /master, /replica, /status and /metrics"
	if want&forAgent == 0 {
		paths = "/health and /metrics"
	}
	return []setting{
		{name: "listen-addr", env: "LISTEN_ADDR", takes: listenAddr, set: orNone(address(&c.listen)), group: forAgent | forProxy,
			usage: "serve " + paths + " by HTTP on this address; off if empty"},
		{name: "on-promote", env: "ON_PROMOTE", takes: "a command", free: true, set: c.hook(handlers.TypePromote), group: forAgent,
			usage: "command to run after Redis was promoted; may be repeated"},
		{name: "on-replicate", env: "ON_REPLICATE", takes: "a command", free: true, set: c.hook(handlers.TypeReplicate),
			group: forAgent,
			usage: "command to run after Redis was pointed at another master; may be repeated"},
		{name: "on-fence", env: "ON_FENCE", takes: "a command", free: true, set: c.hook(handlers.TypeFence), group: forAgent,
			usage: "command to run after Redis was fenced; may be repeated"},
	}
}

func (c *config) logSettings() []setting {
	return []setting{
		{name: "log-level", env: "LOG_LEVEL", def: "INFO", takes: "DEBUG, INFO, WARN or ERROR", set: c.setLevel, group: forLog,
			usage: "least level of log lines: DEBUG, INFO, WARN or ERROR"},
		{name: "log-format", env: "LOG_FORMAT", def: "text", takes: "text or json", set: c.setFormat, group: forLog,
			usage: "format of log lines: text or json"},
	}
}
