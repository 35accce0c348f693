// Package proxy passes TCP connections on to a cluster's master, and to its replicas, for clients that know one address.
//
// A Router knows the targets: it takes a topology, and verifies with Redis itself that each instance has the role and the run
// that the topology says. A Server accepts the clients of one port, connects each to a target, and passes bytes on.
// A Proxy runs both.
//
// Router.Run starts a goroutine for each verification, and joins them. A Server starts a goroutine that accepts, and two for each
// client; Close ends and joins them.
package proxy
