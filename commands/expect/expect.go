// Package expect has what the tests of most rooms ask of a result. It needs neither a server nor a room.
package expect

import (
	"testing"
	"time"
)

// Patience bounds the wait for what must happen: the tests of other packages may run beside.
const Patience = 40 * time.Second

// OK ends the test on an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Equal fails the test if got is not want. The test goes on.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
