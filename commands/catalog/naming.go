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

// The two roles.
const (
	Master  Role = "master"
	Replica Role = "slave" // part of the default service name, which clients look up
)

// Naming says how the roles are named in the catalog: by two services, or by the tags of one service.
type Naming struct {
	Prefix      string // the services are <Prefix>-master and <Prefix>-slave
	Service     string // if not empty: the name of the one service; its first tag names the role
	MasterTags  []string
	ReplicaTags []string
}

// Name returns the service name of a role.
func (n Naming) Name(r Role) string {
	if n.Service != "" {
		return n.Service
	}
	return n.Prefix + "-" + string(r)
}

// Tags returns the service tags of a role.
func (n Naming) Tags(r Role) []string {
	if r == Master {
		return n.MasterTags
	}
	return n.ReplicaTags
}

// Tag returns the tag that names a role within the one service; it is empty if the service's name does.
func (n Naming) Tag(r Role) string {
	if n.Service == "" {
		return ""
	}
	return n.Tags(r)[0]
}

// Watch returns the parameters of a `consul watch` on the master.
func (n Naming) Watch() map[string]any {
	params := map[string]any{"type": "service", "service": n.Name(Master)}
	if tag := n.Tag(Master); tag != "" {
		params["tag"] = []any{tag}
	}
	return params
}

// Matches reports whether an entry has the role.
func (n Naming) Matches(e handlers.Entry, r Role) bool {
	return e.Service.Service == n.Name(r) && (n.Service == "" || slices.Contains(e.Service.Tags, n.Tag(r)))
}

// ServiceID returns the id of one member's service instance. It is the same in both roles. On one Consul agent it is different
// for each announced address and each cluster.
func (n Naming) ServiceID(host string, port int) string {
	name := n.Service
	if name == "" {
		name = n.Prefix
	}
	return name + "-" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Meta returns the metadata of a member's service entry: its id, the term and the version of Redis.
func Meta(id string, term uint64, version string) map[string]string {
	return map[string]string{"id": id, "term": fmt.Sprint(term), "version": version}
}
