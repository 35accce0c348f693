package commands

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/commands/logonce"
)

// config is the configuration: flags, environment and defaults.
type config struct {
	announceHost string // empty: Consul's node address
	announcePort int
	announced    bool   // an announced address was given; otherwise it is derived from redisAddr
	memberID     string // empty: <Consul node>/<service ID>
	naming       catalog.Naming
	lockKey      string
	lockTTL      time.Duration
	sessionName  string
	deregister   time.Duration
	interval     time.Duration
	timeout      time.Duration
	expect       int // members with which a cluster is founded; 0: any number
	failures     int
	guardPolicy  cluster.GuardPolicy
	early        bool
	listen       string // host:port; empty: no HTTP endpoint
	hooks        []hooks.Hook
	sentinel     sentinelConfig
	proxy        proxyConfig
	redisAddr    string
	access       redisAccess
	logLevel     slog.Level
	logFormat    string
	consul       api.Config
	log          *slog.Logger
	limiter      *logonce.Limiter // of log
}

// minProbeTimeout is the shortest time in which a Redis is asked to answer; a loaded host needs more.
// maxInterval bounds HEALTHCHECK_INTERVAL, whose multiples are times of Consul's, too.
const minProbeTimeout, maxInterval = 10 * time.Millisecond, 24 * time.Hour

// consulMinTTL is Consul's session_ttl_min by default: https://developer.hashicorp.com/consul/docs/agent/config/config-files
const consulMinTTL = 10 * time.Second

// validate checks values against each other, for subcommands of the given groups, and fills in the announced address.
func (c *config) validate(want group) error {
	if want&forCluster != 0 {
		if err := c.validateTags(); err != nil {
			return err
		}
	}
	if want&(forRedis|forProxy) != 0 && c.timeout < minProbeTimeout {
		return fmt.Errorf("invalid HEALTHCHECK_TIMEOUT %s: takes %s or more", c.timeout, minProbeTimeout)
	}
	if want&(forService|forEndpoint|forProxy) != 0 && c.interval > maxInterval {
		return fmt.Errorf("invalid HEALTHCHECK_INTERVAL %s: takes %s or less", c.interval, maxInterval)
	}
	if want&(forService|forProxy) != 0 && c.timeout >= c.interval {
		// One probe ends before the next one begins, and before the check's TTL of two intervals ends.
		return fmt.Errorf("invalid HEALTHCHECK_TIMEOUT %s: takes less than HEALTHCHECK_INTERVAL, which is %s", c.timeout,
			c.interval)
	}
	if want&forElect != 0 && (c.lockTTL < time.Second || c.lockTTL > 24*time.Hour) {
		return fmt.Errorf("invalid CONSUL_LOCK_TTL %s: takes 10s to 24h (below 10s only if Consul's session_ttl_min allows it)",
			c.lockTTL)
	}
	if want&forEndpoint != 0 {
		if err := c.sentinel.consistent(); err != nil {
			return err
		}
	}
	if want&forService != 0 && !c.announced {
		if err := c.announceRedis(); err != nil {
			return err
		}
	}
	return nil
}

// validateTags returns an error if the tags of one service do not tell master and replica apart.
func (c *config) validateTags() error {
	if c.naming.Service == "" {
		return nil
	}
	m, r := c.naming.MasterTags, c.naming.ReplicaTags
	if len(m) > 0 && len(r) > 0 && m[0] != r[0] {
		return nil
	}
	return fmt.Errorf("invalid MASTER_TAGS %q and SLAVE_TAGS %q with CONSUL_SERVICE_NAME %q: "+
		"the first tag names the role, so each needs one, and they must differ",
		strings.Join(m, ","), strings.Join(r, ","), c.naming.Service)
}

// announceRedis derives the announced address from REDIS_ADDR. Of a loopback address it takes only the port, because other hosts
// cannot reach that address.
func (c *config) announceRedis() error {
	host, port, err := splitAddr(c.redisAddr)
	if err != nil {
		return fmt.Errorf("invalid REDIS_ADDR %q: takes %s", c.redisAddr, hostPort)
	}
	if ip := net.ParseIP(host); isLoopback(host) || ip != nil && ip.IsUnspecified() {
		host = ""
	}
	c.announceHost, c.announcePort = host, port
	return nil
}

// checkAnnounced returns an error if the announced address is one that other hosts cannot reach: a loopback address, although the
// address of Consul's node is none.
func (c *config) checkAnnounced(nodeAddr string) error {
	node := net.ParseIP(nodeAddr)
	if node == nil || node.IsLoopback() || !isLoopback(c.announceHost) {
		return nil
	}
	return fmt.Errorf("invalid ANNOUNCE_ADDR %q: takes an address that leads every host to this redis, and %s is each host itself; "+
		"without a host it is that of the consul node, %s", net.JoinHostPort(c.announceHost, strconv.Itoa(c.announcePort)),
		c.announceHost, nodeAddr)
}

// isLoopback reports whether a host is this one by its very name, whichever host asks.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}
