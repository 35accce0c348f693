// Package consultest has what the tests of several rooms need on a real Consul. All tests of a package share one Consul, on which
// each has locks and sessions of its own. A fake Consul gives one answer.
package consultest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"resec/scripts/lab"
)

// start starts the Consul of this process once. Main sets it.
var start = func() (*lab.Consul, error) { return nil, errors.New("TestMain has not called consultest.Main") }

// Main runs a package's tests, and returns what TestMain exits with. It fails if a goroutine is left when all tests are over. It
// starts no Consul: the first test that calls Consul does.
func Main(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "consul-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	l := lab.New(dir)
	defer l.Close()
	var idle func()
	start = sync.OnceValues(func() (*lab.Consul, error) {
		c, err := l.StartConsul("agents", nil)
		if err == nil {
			idle = c.CloseIdle
		}
		return c, err
	})
	before := goleak.IgnoreCurrent()
	code = m.Run()
	if idle != nil {
		idle()
	}
	l.Close()
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("resec/scripts/lab.spawn.func1.1")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Consul is the Consul of this package's tests. It is started when a test needs it.
func Consul(t testing.TB) *lab.Consul {
	t.Helper()
	c, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
