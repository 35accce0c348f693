package commands_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestElect_ExcludesConsulLock(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	consulLock, err := k.Script("consul-lock", 0, "exec consul lock "+k.Name+" 'echo inside; sleep 1000'")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return consulLock.Said("inside") })
	_, stderr, code, err := k.Run(0, "", "elect", "-timeout=1s")
	if err != nil || code != 4 || !strings.Contains(stderr, "timed out waiting for the lock "+k.Name+"/.lock") {
		t.Errorf("while consul lock holds it: exit %d: %v\n%s", code, err, stderr)
	}
	elect, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	_, err = consulLock.Stop(syscall.SIGTERM)
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return elect.Said("promoted") })
	// consul lock waits for elect.
	again, err := k.Script("consul-lock-again", 0, "exec consul lock -timeout=1s "+k.Name+" 'echo inside'")
	expect.OK(t, err)
	exits(t, again, 1)
	elect.Signal(syscall.SIGINT)
	exits(t, elect, 0)
	last, err := k.Script("consul-lock-last", 0, "exec consul lock -timeout=5s "+k.Name+" 'echo inside'")
	expect.OK(t, err)
	exits(t, last, 0)
	expect.OK(t, last.Said("inside"))
}

func TestElect_ForeignKeyIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	kv := k.Consul.Client.KV()
	_, err := kv.Put(kvPair(k.Name+"/.lock", "mine"), nil)
	expect.OK(t, err)
	_, stderr, code, err := k.Run(0, "", "elect", "-timeout=5s")
	if err != nil || code != 1 || !strings.Contains(stderr, "the lock key is in use, and not as a lock: "+k.Name+"/.lock") {
		t.Errorf("exit %d: %v\n%s", code, err, stderr)
	}
	if p, _, err := kv.Get(k.Name+"/.lock", nil); err != nil || string(p.Value) != "mine" {
		t.Errorf("the key is now %q: %v", p.Value, err)
	}
}

func TestElect_AnotherClustersStateIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	_, stderr, code, err := k.Run(1, "", "elect", "-consul-service-prefix=other", "-timeout=5s")
	if err != nil || code != 1 || !strings.Contains(stderr, "two clusters need two CONSUL_LOCK_KEYs") {
		t.Errorf("exit %d: %v\n%s", code, err, stderr)
	}
	expect.OK(t, k.Redis[1].Is("role", "master"))
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
}
