//go:build !crash

// Package failpoint names steps of a takeover, a handover and a change of the guard, so that tests can stop a process at one of
// them. Only a program that is built with the tag crash does so, as the tests' programs are. It starts no goroutine.
package failpoint

// Hit does nothing in a program that is built without the tag crash.
func Hit(string) {}
