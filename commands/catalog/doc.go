// Package catalog registers a member as a Consul service with a TTL check, and reads and changes the entries of the others.
//
// A member has one service instance. The service's name or a tag shows its role (Naming), so a change of role is one
// re-registration under the same id. The Registrar keeps the instance as it should be: its goroutine, Run, is the only one that
// writes it to the Consul agent. What Run does next is decided by pure functions on a registration (decide.go); the calls are in
// register.go, and what becomes of late answers is in late.go. A goroutine of Run compares what Consul's servers show, and
// corrects it there (compare.go).
//
// Entries of other members are read by Naming.Instances, and changed only by the operations that turn an old master's entry
// into a replica's entry (demote.go).
package catalog
