//go:build !crash

// Package failpoint names the steps of a take-over, a handover and a guard's change. A program that is built with the tag
// crash, as the tests' is, dies at one of them if RESEC_CRASH_AT says so.
package failpoint

// Hit does nothing.
func Hit(string) {}
