package lab_test

import (
	"testing"

	"resec/scripts/lab"
)

// A variable that is set for one start is not set for the next.
func TestProcess_StartWithVariables(t *testing.T) {
	p, err := lab.ForTest(t).Start("echo", []string{"ALWAYS=a"}, "/bin/sh", "-c", `echo "$ALWAYS,$ONCE."`)
	ok(t, err)
	ended := func() {
		t.Helper()
		_, err := p.Wait(t.Context())
		ok(t, err)
	}
	ended()
	ok(t, p.Start("ONCE=b"))
	ended()
	ok(t, p.Start())
	ended()
	if got := p.Output(); got != "a,.\na,b.\na,.\n" {
		t.Errorf("it said %q", got)
	}
}
