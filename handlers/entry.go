package handlers

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
)

// Entry is a service instance as Consul's health API and `consul watch -type=service` give it, as far as we read it.
// Source: https://developer.hashicorp.com/consul/api-docs/health
type Entry struct {
	Node struct {
		Node    string
		Address string
	}
	Service struct {
		ID      string
		Service string
		Tags    []string
		Address string // empty: the node's
		Port    int
		Meta    map[string]string

		ModifyIndex uint64 // Consul's
	}
	Checks []struct{ Status, Output string }
}

// The states of a check, the best first.
// Source: https://developer.hashicorp.com/consul/docs/services/usage/checks
const (
	CheckPassing  = "passing"
	CheckWarning  = "warning"
	CheckCritical = "critical"
)

// Addr is the host:port of the instance; an IPv6 host stands in brackets.
func (e Entry) Addr() string {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
}

// ID is the member's id, empty for a service that no resec registered.
func (e Entry) ID() string { return e.Service.Meta["id"] }

// Why is what keeps the member from following or leading, by its own agent's word; empty where nothing does.
func (e Entry) Why() string { return e.Service.Meta["why"] }

// Term is the term under which the instance was registered; 0 where none was.
func (e Entry) Term() uint64 {
	n, _ := strconv.ParseUint(e.Service.Meta["term"], 10, 64)
	return n
}

// Status is the worst of the instance's checks: passing, warning or critical.
func (e Entry) Status() string {
	worst := CheckPassing
	for _, c := range e.Checks {
		if c.Status == CheckCritical || c.Status == CheckWarning && worst == CheckPassing {
			worst = c.Status
		}
	}
	return worst
}

// ParseEntries reads the array that `consul watch -type=service` writes; null is an empty one.
func ParseEntries(data []byte) ([]Entry, error) {
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("read the service entries: %w", err)
	}
	return entries, nil
}

// MasterOf picks the master among the entries: the highest term, for a term only rises, and of equal ones a passing
// one first. A tag, where given, marks the masters among all the instances of a service.
func MasterOf(entries []Entry, tag string) (Entry, bool) {
	var best Entry
	found := false
	for _, e := range entries {
		if tag != "" && !slices.Contains(e.Service.Tags, tag) || e.Service.Port <= 0 || e.Service.Port > 65535 {
			continue
		}
		if !found || e.Term() > best.Term() || e.Term() == best.Term() && e.Status() == CheckPassing && best.Status() != CheckPassing {
			best, found = e, true
		}
	}
	return best, found
}
