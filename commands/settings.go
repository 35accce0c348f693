package commands

import (
	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// settings are the variables of the README's table, in its order, for the subcommands of the groups given.
func (c *config) settings(want group) []setting {
	all := []setting{
		{name: "announce-addr", env: "ANNOUNCE_ADDR", usage: "host:port registered in Consul; without a host its node's address", takes: "host:port, :port or port", set: orNone(c.setAnnounce), group: forService},
		{name: "member-id", env: "MEMBER_ID", usage: "who this member is (default: <Consul node>/<service ID>)", takes: "a name of ASCII without blanks", set: c.setMember, group: forCluster},
		{name: "consul-service-prefix", env: "CONSUL_SERVICE_PREFIX", def: "redis", usage: "services <prefix>-master and <prefix>-slave", takes: "a service name", set: name(&c.naming.Prefix, false), group: forCluster},
		{name: "consul-service-name", env: "CONSUL_SERVICE_NAME", usage: "one service instead, the role by tag", takes: "a service name", set: name(&c.naming.Service, true), group: forCluster},
		{name: "consul-master-tags", env: "MASTER_TAGS", usage: "tags of the master, comma-separated", takes: "tags, comma-separated", set: list(&c.naming.MasterTags), group: forCluster},
		{name: "consul-slave-tags", env: "SLAVE_TAGS", usage: "tags of a replica, comma-separated", takes: "tags, comma-separated", set: list(&c.naming.ReplicaTags), group: forCluster},
		{name: "consul-lock-key", env: "CONSUL_LOCK_KEY", def: "resec/.lock", usage: "the lock, one per cluster", takes: "a key that does not begin or end with a slash", set: c.setKey, group: forCluster},
		{name: "consul-lock-ttl", env: "CONSUL_LOCK_TTL", def: "15s", usage: "TTL of the session that holds the lock", takes: duration, set: positive(&c.lockTTL), group: forElect},
		{name: "consul-lock-session-name", env: "CONSUL_LOCK_SESSION_NAME", def: "resec", usage: "name of that session", takes: "a name", set: text(&c.sessionName), group: forElect},
		{name: "consul-deregister-service-after", env: "CONSUL_DEREGISTER_SERVICE_AFTER", def: "72h", usage: "a service that is critical for this long is removed", takes: duration, set: positive(&c.deregister), group: forService},
		{name: "healthcheck-interval", env: "HEALTHCHECK_INTERVAL", def: "5s", usage: "between two looks at Redis; the TTL check is updated twice as often, and lives for twice this", takes: duration, set: positive(&c.interval), group: forService},
		{name: "healthcheck-timeout", env: "HEALTHCHECK_TIMEOUT", def: "2s", usage: "a Redis that does not answer for this long is unhealthy", takes: duration, set: positive(&c.timeout), group: forRedis},
		{name: "healthcheck-failures", env: "HEALTHCHECK_FAILURES", def: "1", usage: "so often in a row", takes: "a whole number from 1", set: c.setFailures, group: forService},
		{name: "guard", env: "GUARD", def: "auto", usage: "min-replicas-to-write of the master", takes: "auto, off or a whole number from 1", set: c.setGuard, group: forAgent},
		{name: "guard-max-lag", env: "GUARD_MAX_LAG", def: "5s", usage: "min-replicas-max-lag of the master", takes: "a duration of whole seconds, from 1s", set: c.setGuardMaxLag, group: forAgent},
		{name: "early-takeover", env: "EARLY_TAKEOVER", def: "true", usage: "end a dead holder's session on evidence", takes: "true or false", set: boolean(&c.early), bare: true, group: forAgent},
		{name: "listen-addr", env: "LISTEN_ADDR", usage: "answer /health, /master, /replica, /status and /metrics there by HTTP; off by default", takes: listenAddr, set: orNone(c.setListen), group: forAgent},
		{name: "on-promote", env: "ON_PROMOTE", usage: "command run after Redis was promoted; may be repeated", takes: "a command", set: c.hook(handlers.TypePromote), group: forAgent},
		{name: "on-replicate", env: "ON_REPLICATE", usage: "command run after Redis was made to follow another master; may be repeated", takes: "a command", set: c.hook(handlers.TypeReplicate), group: forAgent},
		{name: "on-fence", env: "ON_FENCE", usage: "command run after Redis was fenced; may be repeated", takes: "a command", set: c.hook(handlers.TypeFence), group: forAgent},
		{name: "redis-addr", env: "REDIS_ADDR", def: "127.0.0.1:6379", usage: "the Redis server", takes: hostPort, set: c.setRedis, group: forRedis},
	}
	all = append(all, c.redisSettings()...)
	all = append(all, []setting{
		{name: "log-level", env: "LOG_LEVEL", def: "INFO", usage: "DEBUG, INFO, WARN or ERROR", takes: "DEBUG, INFO, WARN or ERROR", set: c.setLevel, group: forLog},
		{name: "log-format", env: "LOG_FORMAT", def: "text", usage: "text or json", takes: "text or json", set: c.setFormat, group: forLog},
	}...)
	all = append(all, c.consulSettings()...)
	var out []setting
	for _, s := range all {
		if s.group&want != 0 {
			out = append(out, s)
		}
	}
	return out
}

// consulSettings mean what they mean to the consul command, whose environment the API reads by itself.
func (c *config) consulSettings() []setting {
	own := func(name, env, usage string, p *string) setting {
		return setting{name: name, env: env, usage: usage, takes: "a value", set: orNone(text(p)), group: forConsul}
	}
	return []setting{
		{name: "http-addr", env: api.HTTPAddrEnvName, usage: "the Consul agent of this host", takes: "host:port, a URL or unix://path, without a user", set: orNone(c.setConsul), group: forConsul},
		own("token", api.HTTPTokenEnvName, "ACL token", &c.consul.Token),
		own("token-file", api.HTTPTokenFileEnvName, "file that holds the ACL token", &c.consul.TokenFile),
		own("ca-file", api.HTTPCAFile, "CA certificate", &c.consul.TLSConfig.CAFile),
		own("ca-path", api.HTTPCAPath, "folder of CA certificates", &c.consul.TLSConfig.CAPath),
		own("client-cert", api.HTTPClientCert, "client certificate", &c.consul.TLSConfig.CertFile),
		own("client-key", api.HTTPClientKey, "its key", &c.consul.TLSConfig.KeyFile),
		own("tls-server-name", api.HTTPTLSServerName, "name in Consul's certificate", &c.consul.TLSConfig.Address),
		own("datacenter", "", "Consul datacenter (default: the agent's)", &c.consul.Datacenter),
	}
}

// redisSettings say how Redis is let in by, and to whom.
func (c *config) redisSettings() []setting {
	r := &c.access
	own := func(name, env, usage, takes string, p *string) setting {
		return setting{name: name, env: env, usage: usage, takes: takes, set: orNone(text(p)), group: forRedis}
	}
	return []setting{
		own("redis-username", "REDIS_USERNAME", "its user; replicas authenticate with it, too", "a name", &r.user),
		own("redis-password", "REDIS_PASSWORD", "its password; better given by the environment, or a file", "a password", &r.pass),
		own("redis-password-file", "REDIS_PASSWORD_FILE", "a file of one line that has it, read for each connection", "a file", &r.passFile),
		own("redis-replication-username", "REDIS_REPLICATION_USERNAME", "whom a replica authenticates as to its master, instead of the same user", "a name", &r.replUser),
		own("redis-replication-password", "REDIS_REPLICATION_PASSWORD", "with this password", "a password", &r.replPass),
		own("redis-replication-password-file", "REDIS_REPLICATION_PASSWORD_FILE", "a file of one line that has it", "a file", &r.replFile),
		{name: "redis-tls", env: "REDIS_TLS", def: "false", usage: "speak TLS to Redis, which replicates by TLS, too", takes: "true or false", set: boolean(&r.tls), bare: true, group: forRedis},
		own("redis-cacert", "REDIS_CACERT", "CA certificates (PEM) that Redis's is checked against, instead of the system's", "a file", &r.caCert),
		own("redis-client-cert", "REDIS_CLIENT_CERT", "our certificate (PEM)", "a file", &r.cert),
		own("redis-client-key", "REDIS_CLIENT_KEY", "its key (PEM)", "a file", &r.key),
		own("redis-tls-server-name", "REDIS_TLS_SERVER_NAME", "the name in each Redis's certificate, instead of the host of its address", "a name", &r.serverName),
	}
}
