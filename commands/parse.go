package commands

import (
	"errors"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/handlers"
)

// What a setting takes, for the one line that a bad value gets.
const (
	duration   = "a positive duration such as 5s"
	hostPort   = "host:port, an IPv6 host in brackets"
	listenAddr = "host:port or :port, an IPv6 host in brackets"
	trueFalse  = "true or false"
)

// errBad is the error of a setter; its text is not shown.
var errBad = errors.New("bad value")

// setAnnounce takes host:port, :port or port. An unspecified address such as 0.0.0.0 is no address for clients.
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

// setConsul takes no user and password: Consul's API uses none, and each error would print them with the address.
func (c *config) setConsul(v string) error {
	addr, err := consulAddress(v)
	if err != nil {
		return err
	}
	c.consul.Address = addr
	return nil
}

// address takes an address on which resec itself listens.
func address(p *string) func(string) error {
	return func(v string) error {
		host, port, err := splitAddr(v)
		if err != nil {
			return err
		}
		*p = net.JoinHostPort(host, strconv.Itoa(port))
		return nil
	}
}

// splitAddr splits host:port. The host may be empty, a name, or an address; IPv6 in brackets. It returns an error if the port is
// not 1 to 65535 or the host has characters that no host has.
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

// maxName bounds the id of a member and a service name, in bytes. Consul takes no more than 512 in a service's Meta, which has
// the id. By default an id is a node's name and a service's.
const maxName = 255

// setMember takes what CLIENT SETNAME takes: printable ASCII without blanks.
func (c *config) setMember(v string) error {
	if len(v) > maxName {
		return errBad
	}
	for _, r := range v {
		if r <= ' ' || r > '~' {
			return errBad
		}
	}
	c.memberID = v
	return nil
}

func (c *config) setKey(v string) error {
	if !ownName(v) {
		return errBad
	}
	c.lockKey = v
	return nil
}

// name takes a service name, which becomes part of a URL.
func name(p *string, optional bool) func(string) error {
	return func(v string) error {
		if v == "" && optional {
			*p = v
			return nil
		}
		if !ownName(v) || len(v) > maxName || strings.ContainsAny(v, " \t/?#%") {
			return errBad
		}
		*p = v
		return nil
	}
}

func (c *config) setFailures(v string) error { return setNumber(&c.failures, v, math.MaxInt) }

func (c *config) setExpect(v string) error { return setNumber(&c.expect, v, guardMax) }

// setNumber takes a whole number from 1 up to a limit.
func setNumber(p *int, v string, limit int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > limit {
		return errBad
	}
	*p = n
	return nil
}

// guardMax is more replicas than a master has, and far below the value that fences a Redis.
const guardMax = 100

func (c *config) setGuard(v string) error {
	switch v {
	case "auto":
		c.guardPolicy.Replicas = cluster.GuardAuto
		return nil
	case "off":
		c.guardPolicy.Replicas = cluster.GuardOff
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > guardMax {
		return errBad
	}
	c.guardPolicy.Replicas = n
	return nil
}

// setGuardMaxLag takes whole seconds, Redis's unit. 0 would switch min-replicas-to-write off.
func (c *config) setGuardMaxLag(v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > time.Hour || d%time.Second != 0 {
		return errBad
	}
	c.guardPolicy.MaxLag = int(d / time.Second)
	return nil
}

// hook adds a command for one type of event. It runs as an external handler does.
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
	if strings.ContainsAny(v, "+-") { // slog would accept INFO+1
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
