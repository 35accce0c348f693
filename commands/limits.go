package commands

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"resec/commands/catalog"
)

const (
	// maxDNSLabel is the length of a label in DNS.
	maxDNSLabel = 63
	// minDeregisterAfter is Consul's own minimum: https://developer.hashicorp.com/consul/api-docs/agent/check
	minDeregisterAfter = time.Minute
)

// warnLimits logs, once at the start, which settings of a member that registers itself work less well than they say.
func (c *config) warnLimits(log *slog.Logger) {
	for _, name := range namesOutsideDNS(c.naming) {
		log.Warn("Consul's DNS does not find this name; clients find it by Consul's HTTP API alone", "event", "name_not_in_dns",
			"name", name, "takes", "letters, digits and dashes, at most 63")
	}
	if c.deregister < minDeregisterAfter {
		log.Warn("CONSUL_DEREGISTER_SERVICE_AFTER is below 1m; Consul removes a service after 1m at the earliest",
			"event", "deregister_after_below_consul_minimum", "after", c.deregister)
	}
}

// namesOutsideDNS are the names by which clients look a role up and which Consul's DNS does not find. They are the services, or
// the one service and the tags that name the role.
func namesOutsideDNS(n catalog.Naming) []string {
	names := []string{n.Name(catalog.Master), n.Name(catalog.Replica)}
	if n.Service != "" {
		names = []string{n.Service, n.Tag(catalog.Master), n.Tag(catalog.Replica)}
	}
	return slices.DeleteFunc(names, dnsLabel)
}

// dnsLabel reports whether Consul's DNS finds a name, by Consul's own rule.
// Source: https://github.com/hashicorp/consul/blob/v1.19.2/agent/dns/dns.go
func dnsLabel(name string) bool {
	other := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	}
	return name != "" && len(name) <= maxDNSLabel && !strings.ContainsFunc(name, other)
}
