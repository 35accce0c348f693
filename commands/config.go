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
	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/handlers"
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
	guardPolicy  cluster.GuardPolicy
	early        bool
	listen       string // host:port; empty: nobody is answered
	hooks        []hooks.Hook
	redisAddr    string
	access       redisAccess
	logLevel     slog.Level
	logFormat    string
	consul       api.Config
	log          *slog.Logger
}

const (
	duration   = "a positive duration such as 5s"
	hostPort   = "host:port, an IPv6 host in brackets"
	listenAddr = "host:port or :port, an IPv6 host in brackets"
)

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

// setConsul takes no user: Consul's API asks for none, and each error would name him, and his password.
func (c *config) setConsul(v string) error {
	if strings.Contains(v, "@") {
		return errBad
	}
	c.consul.Address = v
	return nil
}

func (c *config) setListen(v string) error {
	host, port, err := splitAddr(v)
	if err != nil {
		return err
	}
	c.listen = net.JoinHostPort(host, strconv.Itoa(port))
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
		c.guardPolicy.Replicas = cluster.GuardAuto
	case v == "off":
		c.guardPolicy.Replicas = cluster.GuardOff
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

// hook adds a command for one kind of event. It is run as a handler is.
func (c *config) hook(on string) func(string) error {
	return orNone(func(v string) error {
		if strings.TrimSpace(v) == "" {
			return errBad
		}
		c.hooks = append(c.hooks, hooks.Hook{On: on, Command: &handlers.Command{Args: []string{v}, Shell: true}})
		return nil
	})
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
