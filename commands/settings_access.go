package commands

import "github.com/hashicorp/consul/api"

// redisSettings say how to authenticate to Redis, and how to encrypt the connection.
func (c *config) redisSettings() []setting {
	r := &c.access
	own := func(name, env, usage, takes string, p *string) setting {
		return setting{name: name, env: env, usage: usage, takes: takes, set: orNone(text(p)), group: forRedis | forProxy}
	}
	replication := func(s setting) setting { s.group = forRedis; return s } // of those that change the replication
	return []setting{
		own("redis-username", "REDIS_USERNAME",
			"user for Redis; replicas authenticate to their master with it, too", "a name", &r.user),
		own("redis-password", "REDIS_PASSWORD",
			"password for Redis; a file or the environment is safer than the flag", "a password", &r.pass),
		own("redis-password-file", "REDIS_PASSWORD_FILE",
			"file of one line with the password; it may change while resec runs", "a file", &r.passFile),
		replication(own("redis-replication-username", "REDIS_REPLICATION_USERNAME",
			"user with which replicas authenticate to their master, if it is not the same", "a name", &r.replUser)),
		replication(own("redis-replication-password", "REDIS_REPLICATION_PASSWORD", "password of that user", "a password",
			&r.replPass)),
		replication(own("redis-replication-password-file", "REDIS_REPLICATION_PASSWORD_FILE",
			"file of one line with the password of that user", "a file", &r.replFile)),
		{name: "redis-tls", env: "REDIS_TLS", def: "false", takes: trueFalse, set: boolean(&r.tls), bare: true,
			group: forRedis | forProxy, usage: "use TLS to connect to Redis, and for replication"},
		own("redis-cacert", "REDIS_CACERT",
			"file of CA certificates (PEM) that verify Redis, instead of the system's", "a file", &r.caCert),
		own("redis-client-cert", "REDIS_CLIENT_CERT", "file of the client certificate (PEM) for Redis", "a file", &r.cert),
		own("redis-client-key", "REDIS_CLIENT_KEY", "file of the client certificate's key (PEM)", "a file", &r.key),
		own("redis-tls-server-name", "REDIS_TLS_SERVER_NAME",
			"name expected in each Redis certificate, instead of the host of its address",
			"a name", &r.serverName),
	}
}

// consulSettings are those of the consul command: the same flags, the same variables, the same meaning. The API reads the
// variables.
func (c *config) consulSettings() []setting {
	own := func(name, env, usage string, p *string) setting {
		return setting{name: name, env: env, usage: usage, takes: "a value", set: orNone(text(p)), group: forConsul}
	}
	return []setting{
		{name: "http-addr", env: api.HTTPAddrEnvName, takes: "host:port, a URL or unix://path, without a user and without /v1",
			set:   orNone(c.setConsul),
			group: forConsul, usage: "address of the Consul agent on this host"},
		own("token", api.HTTPTokenEnvName, "ACL token for Consul", &c.consul.Token),
		own("token-file", api.HTTPTokenFileEnvName,
			"file of one line with the ACL token; it may change while resec runs", &c.consul.TokenFile),
		own("ca-file", api.HTTPCAFile, "file of the CA certificate that verifies Consul", &c.consul.TLSConfig.CAFile),
		own("ca-path", api.HTTPCAPath, "folder of CA certificates that verify Consul", &c.consul.TLSConfig.CAPath),
		own("client-cert", api.HTTPClientCert, "file of the client certificate for Consul", &c.consul.TLSConfig.CertFile),
		own("client-key", api.HTTPClientKey, "file of the client certificate's key", &c.consul.TLSConfig.KeyFile),
		own("tls-server-name", api.HTTPTLSServerName, "name expected in Consul's certificate", &c.consul.TLSConfig.Address),
		own("datacenter", "", "Consul datacenter (default: the agent's)", &c.consul.Datacenter),
	}
}
