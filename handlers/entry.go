package handlers

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
)

// Entry is a service instance in the JSON of Consul's health API and of `consul watch -type=service`: the fields that we read.
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
		Address string // empty: that of the node
		Port    int
		Meta    map[string]string

		CreateIndex uint64
		ModifyIndex uint64
	}
	Checks []Check
}

// Addr is the host:port of the instance; an IPv6 host is in brackets.
func (e Entry) Addr() string {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
}

// NodeAddr is the node's address with the instance's port if the instance is registered with another host; otherwise empty.
func (e Entry) NodeAddr() string {
	if e.Service.Address == "" || e.Node.Address == "" || e.Service.Address == e.Node.Address {
		return ""
	}
	return net.JoinHostPort(e.Node.Address, strconv.Itoa(e.Service.Port))
}

// ID is the member's id, empty for a service that no resec registered.
func (e Entry) ID() string { return e.Service.Meta["id"] }

// Why is the reason why the member can neither follow nor lead, or why its address is wrong, as its agent registered it;
// empty: there is none.
func (e Entry) Why() string { return e.Service.Meta["why"] }

// WaitsMeta is the key, in the metadata of an entry, of the token of an agent that waits until it may be the member.
const WaitsMeta = "waits"

// Waits reports whether an agent registered the entry that waits until it may be the member.
func (e Entry) Waits() bool { return e.Service.Meta[WaitsMeta] != "" }

// Term is the term in which the instance was registered; 0 if it has none.
func (e Entry) Term() uint64 {
	n, _ := strconv.ParseUint(e.Service.Meta["term"], 10, 64)
	return n
}

// Status is the worst of the instance's checks: passing, warning or critical.
func (e Entry) Status() string { return worst(e.Checks) }

// ParseEntries reads the array that `consul watch -type=service` writes; null is an empty array. It returns an error for any
// other JSON.
func ParseEntries(data []byte) ([]Entry, error) {
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("read the service entries: %w", err)
	}
	return entries, nil
}

// MasterOf returns the master among the entries: the one with the highest term, because a term only rises, and of equal terms
// the first that is passing. If a tag is given, only entries with it are masters. An entry without a valid port is skipped.
func MasterOf(entries []Entry, tag string) (Entry, bool) {
	var best Entry
	found := false
	for _, e := range entries {
		if tag != "" && !slices.Contains(e.Service.Tags, tag) {
			continue
		}
		if e.Service.Port < 1 || e.Service.Port > maxPort {
			continue
		}
		if !found || isNewer(e, best) {
			best, found = e, true
		}
	}
	return best, found
}

const maxPort = 65535

// isNewer reports whether e is preferred to best as master.
func isNewer(e, best Entry) bool {
	if e.Term() != best.Term() {
		return e.Term() > best.Term()
	}
	return e.Status() == CheckPassing && best.Status() != CheckPassing
}
