// Package sentinel answers clients as Redis Sentinel would, so that clients made for it find the master of a cluster of resec.
//
// A Server tells clients of a topology: in answer to SENTINEL commands (records.go), and by messages to subscribers (events.go),
// which are pure functions. An Endpoint is a server, the feed of its topology, and its registration in Consul.
//
// A Server starts a goroutine that accepts clients and, for each client, one that answers it and one that writes to it; Close
// ends and joins them. Endpoint.Run starts a goroutine for the feed and one for the registration, and joins them.
package sentinel
