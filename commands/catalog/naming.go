package catalog

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	"resec/handlers"
)

// Role is what a member is registered as.
type Role string

// The roles of a member, and that of an endpoint that tells clients about the cluster.
const (
	Master   Role = "master"
	Replica  Role = "slave" // part of the default service name, which clients look up
	Sentinel Role = "sentinel"
	Proxy    Role = "proxy"
)

// isMember reports whether a member has the role, and not an endpoint.
func (r Role) isMember() bool { return r == Master || r == Replica }

// Naming says how the roles are named in the catalog: those of members by two services, or by the tags of one service, and
// any other by a service of its own.
type Naming struct {
	Prefix      string // the services are <Prefix>-master and <Prefix>-slave
	Service     string // if not empty: the name of the one service; its first tag names the role
	MasterTags  []string
	ReplicaTags []string
}

// Name returns the service name of a role.
func (n Naming) Name(r Role) string {
	if n.Service != "" && r.isMember() {
		return n.Service
	}
	return n.cluster() + "-" + string(r)
}

// cluster returns what the names of all services of the cluster begin with.
func (n Naming) cluster() string {
	if n.Service != "" {
		return n.Service
	}
	return n.Prefix
}

// Tags returns the service tags of a role.
func (n Naming) Tags(r Role) []string {
	switch r {
	case Master:
		return n.MasterTags
	case Replica:
		return n.ReplicaTags
	}
	return nil
}

// Tag returns the tag that names a role within the one service; it is empty if the service's name does.
func (n Naming) Tag(r Role) string {
	if n.Service == "" || !r.isMember() {
		return ""
	}
	return n.Tags(r)[0]
}

// Watch returns the parameters of a `consul watch` on a role.
func (n Naming) Watch(r Role) map[string]any {
	params := map[string]any{"type": "service", "service": n.Name(r)}
	if tag := n.Tag(r); tag != "" {
		params["tag"] = []any{tag}
	}
	return params
}

// Matches reports whether an entry has the role.
func (n Naming) Matches(e handlers.Entry, r Role) bool {
	tag := n.Tag(r)
	return e.Service.Service == n.Name(r) && (tag == "" || slices.Contains(e.Service.Tags, tag))
}

// EndpointID returns the id of the service instance of an endpoint with that role.
func (n Naming) EndpointID(r Role, host string, port int) string {
	return n.Name(r) + "-" + net.JoinHostPort(host, strconv.Itoa(port))
}

// ServiceID returns the id of one member's service instance. It is the same in both roles. On one Consul agent it is different
// for each announced address and each cluster.
func (n Naming) ServiceID(host string, port int) string {
	return n.cluster() + "-" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Meta returns the metadata of a member's service entry: its id, the term and the version of Redis.
func Meta(id string, term uint64, version string) map[string]string {
	return map[string]string{"id": id, "term": fmt.Sprint(term), "version": version}
}
