// Package catalog publishes a member as a Consul service with a TTL check, and reads who else is published.
package catalog

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	"resec/handlers"
)

// Role is what a member is published as.
type Role string

// The two roles.
const (
	Master  Role = "master"
	Replica Role = "slave" // the word in the service's default name, kept for those who look it up
)

// Naming says how roles are told apart: by the service's name, or by the tags of a single service.
type Naming struct {
	Prefix      string // <prefix>-master and <prefix>-slave
	Service     string // not empty: this one name, the role by its first tag
	MasterTags  []string
	ReplicaTags []string
}

// Name is the service name of a role.
func (n Naming) Name(r Role) string {
	if n.Service != "" {
		return n.Service
	}
	return n.Prefix + "-" + string(r)
}

// Tags are the tags of a role.
func (n Naming) Tags(r Role) []string {
	if r == Master {
		return n.MasterTags
	}
	return n.ReplicaTags
}

// Tag is the tag by which a role is told within its service; empty where the name tells it.
func (n Naming) Tag(r Role) string {
	if n.Service == "" {
		return ""
	}
	return n.Tags(r)[0]
}

// Watch are the parameters of a `consul watch` on the master.
func (n Naming) Watch() map[string]any {
	params := map[string]any{"type": "service", "service": n.Name(Master)}
	if tag := n.Tag(Master); tag != "" {
		params["tag"] = []any{tag}
	}
	return params
}

// Matches tells whether an entry is one of a role.
func (n Naming) Matches(e handlers.Entry, r Role) bool {
	return e.Service.Service == n.Name(r) && (n.Service == "" || slices.Contains(e.Service.Tags, n.Tag(r)))
}

// ServiceID names one member's instance, the same in both roles, and distinct for each announced address and cluster
// on a Consul agent.
func (n Naming) ServiceID(host string, port int) string {
	name := n.Service
	if name == "" {
		name = n.Prefix
	}
	return name + "-" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Meta is what a service's entry says beside its address.
func Meta(id string, term uint64, version string) map[string]string {
	return map[string]string{"id": id, "term": fmt.Sprint(term), "version": version}
}
