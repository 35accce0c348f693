package lab_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"resec/scripts/lab"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "resec-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l := lab.New(dir)
	consul = sync.OnceValues(func() (*lab.Consul, error) { return l.StartConsul("shared", nil) })
	code := m.Run()
	l.Close()
	lab.Remove()
	_ = os.RemoveAll(dir)
	return code
}

var consul func() (*lab.Consul, error)

// shared is the Consul of the tests that do not harm it.
func shared(t *testing.T) *lab.Consul {
	t.Helper()
	c, err := consul()
	ok(t, err)
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// redis is a server of its own for the test.
func redis(t *testing.T, name string, args ...string) *lab.Redis {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis(name, args...)
	ok(t, err)
	return r
}

// do runs a command that must be done.
func do(t *testing.T, r *lab.Redis, args ...string) string {
	t.Helper()
	v, err := r.Do(args...)
	if err != nil {
		t.Fatalf("%s: %v: %v", r.Name, args, err)
	}
	return v
}
