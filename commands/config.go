package commands

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/lock"
)

// config is all that a user can say.
type config struct {
	announceHost string // empty: Consul's node address
	announcePort int
	announced    bool
	member       string
	naming       catalog.Naming
	lockKey      string
	lockTTL      time.Duration
	sessionName  string
	deregister   time.Duration
	interval     time.Duration
	timeout      time.Duration
	failures     int
	guardPolicy  lock.GuardPolicy
	early        bool
	redisAddr    string
	redisUser    string
	redisPass    string
	logLevel     slog.Level
	logFormat    string
	consul       api.Config
}

const (
	duration = "a positive duration such as 5s"
	hostPort = "host:port, an IPv6 host in brackets"
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
		{name: "redis-addr", env: "REDIS_ADDR", def: "127.0.0.1:6379", usage: "the Redis server", takes: hostPort, set: c.setRedis, group: forRedis},
		{name: "redis-username", env: "REDIS_USERNAME", usage: "its user; replicas authenticate with it, too", takes: "a name", set: text(&c.redisUser), group: forRedis},
		{name: "redis-password", env: "REDIS_PASSWORD", usage: "its password; better given by the environment", takes: "a password", set: text(&c.redisPass), group: forRedis},
		{name: "log-level", env: "LOG_LEVEL", def: "INFO", usage: "DEBUG, INFO, WARN or ERROR", takes: "DEBUG, INFO, WARN or ERROR", set: c.setLevel, group: forLog},
		{name: "log-format", env: "LOG_FORMAT", def: "text", usage: "text or json", takes: "text or json", set: c.setFormat, group: forLog},
	}
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
		own("http-addr", api.HTTPAddrEnvName, "the Consul agent of this host", &c.consul.Address),
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

var errBad = errors.New("bad value")

func (c *config) setAnnounce(v string) error {
	if _, err := strconv.Atoi(v); err == nil {
		v = ":" + v
	}
	host, port, err := splitAddr(v)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return errBad
	}
	c.announceHost, c.announcePort, c.announced = host, port, true
	return nil
}

func (c *config) setRedis(v string) error {
	host, port, err := splitAddr(v)
	if err != nil {
		return err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	c.redisAddr = net.JoinHostPort(host, strconv.Itoa(port))
	return nil
}

// splitAddr takes host:port apart: host may be empty, a name, or an address; IPv6 in brackets.
func splitAddr(v string) (string, int, error) {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || strings.ContainsAny(host, " \t/@") {
		return "", 0, errBad
	}
	return host, n, nil
}

func (c *config) setMember(v string) error {
	for _, r := range v {
		if r <= ' ' || r > '~' { // as CLIENT SETNAME
			return errBad
		}
	}
	c.member = v
	return nil
}

func (c *config) setKey(v string) error {
	if v == "" || strings.HasPrefix(v, "/") || strings.HasSuffix(v, "/") {
		return errBad
	}
	c.lockKey = v
	return nil
}

func name(p *string, optional bool) func(string) error {
	return func(v string) error {
		if v == "" && !optional || strings.ContainsAny(v, " \t/?#%") {
			return errBad
		}
		*p = v
		return nil
	}
}

func (c *config) setFailures(v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return errBad
	}
	c.failures = n
	return nil
}

func (c *config) setGuard(v string) error {
	switch n, err := strconv.Atoi(v); {
	case v == "auto":
		c.guardPolicy.Replicas = lock.GuardAuto
	case v == "off":
		c.guardPolicy.Replicas = lock.GuardOff
	case err != nil || n < 1 || n > guardTop:
		return errBad
	default:
		c.guardPolicy.Replicas = n
	}
	return nil
}

// guardTop is more replicas than a master has, and less than a fence.
const guardTop = 100

func (c *config) setGuardMaxLag(v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > time.Hour || d%time.Second != 0 { // Redis counts in seconds, and 0 would switch the guard off
		return errBad
	}
	c.guardPolicy.MaxLag = int(d / time.Second)
	return nil
}

func (c *config) setLevel(v string) error {
	if strings.ContainsAny(v, "+-") { // slog itself would take INFO+1
		return errBad
	}
	return c.logLevel.UnmarshalText([]byte(v))
}

func (c *config) setFormat(v string) error {
	if v != "text" && v != "json" {
		return errBad
	}
	c.logFormat = v
	return nil
}

// validate checks what no single value shows, for the subcommands of the groups given.
func (c *config) validate(want group) error {
	if want&forCluster != 0 && c.naming.Service != "" {
		m, r := c.naming.MasterTags, c.naming.ReplicaTags
		if len(m) == 0 || len(r) == 0 || m[0] == r[0] {
			return fmt.Errorf("invalid MASTER_TAGS %q and SLAVE_TAGS %q with CONSUL_SERVICE_NAME %q: their first tags tell the roles apart, so both need one, and not the same",
				strings.Join(m, ","), strings.Join(r, ","), c.naming.Service)
		}
	}
	if want&forService != 0 && c.timeout >= c.interval {
		// A look that fails must have failed before the next one, and before the check's TTL of two intervals ends.
		return fmt.Errorf("invalid HEALTHCHECK_TIMEOUT %s: takes less than HEALTHCHECK_INTERVAL, which is %s", c.timeout, c.interval)
	}
	if want&forElect != 0 && (c.lockTTL < time.Second || c.lockTTL > 24*time.Hour) {
		return fmt.Errorf("invalid CONSUL_LOCK_TTL %s: takes 10s to 24h (below 10s only where Consul's session_ttl_min allows it)", c.lockTTL)
	}
	if want&forService != 0 && !c.announced {
		if err := c.announceRedis(); err != nil {
			return err
		}
	}
	return nil
}

// announceRedis takes the announced address from REDIS_ADDR: of a loopback address, which means nothing to others,
// only the port.
func (c *config) announceRedis() error {
	host, port, err := splitAddr(c.redisAddr)
	if err != nil {
		return fmt.Errorf("invalid REDIS_ADDR %q: takes %s", c.redisAddr, hostPort)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = ""
	}
	c.announceHost, c.announcePort = host, port
	return nil
}
