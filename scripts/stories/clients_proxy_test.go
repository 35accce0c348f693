package stories_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Clients that know one address, and nothing of resec, write through a planned move, a crash, a frozen Redis, an agent that leaves
// and an outage of Consul. A client that connects before there is a master waits for it. Readers get replicas. At its end the proxy
// lets a busy client finish.
func TestClients03_ThroughAProxy(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
	write, read := freeAddr(t), freeAddr(t)
	proxy, err := k.Resec("proxy", 0, "proxy", "-write-addr", write, "-read-addr", read, "-hold", "30s", "-drain", "1s")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return proxy.Said("event=proxy_no_master") })
	w := lab.Writing{Find: func(context.Context) (string, error) { return write, nil }, Pace: 5 * time.Millisecond,
		Dial: k.Here.Dial}.Start(t.Context())
	defer w.Stop()
	started(t, k)
	lab.Eventually(t, patience, func() error { return w.Wrote(20) })
	throughMoves(t, k, w, func(int) bool { return true })
	ok(t, readsFromReplicas(t, k, read))

	before := w.Acked()
	code, err := proxy.Stop(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Errorf("the proxy left with %d: %v", code, err)
	}
	if n := w.Acked() - before; n < 20 { // of 200
		t.Errorf("a busy client wrote %d times while the proxy was drained", n)
	}
	ok(t, k.Stop())
}

// freeAddr is an address at which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	port, err := lab.FreePort("127.0.0.1")
	ok(t, err)
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
}

// readsFromReplicas returns an error unless new clients get to each replica by turns, and to nobody else.
func readsFromReplicas(t *testing.T, k *lab.Cluster, addr string) error {
	m, err := k.Master()
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for range 10 {
		run, err := runBehind(t.Context(), addr)
		if err != nil {
			return err
		}
		seen[run]++
	}
	master, err := k.Redis[m].Info("run_id")
	if err != nil {
		return err
	}
	if seen[master] > 0 || len(seen) != len(k.Redis)-1 {
		return errors.New("readers got to " + strings.Join(runsOf(seen), ", ") + "; the master is " + master)
	}
	return nil
}

func runsOf(seen map[string]int) (out []string) {
	for run, n := range seen {
		out = append(out, fmt.Sprint(run, " ", n, " times"))
	}
	return out
}
