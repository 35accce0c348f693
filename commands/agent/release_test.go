package agent

import (
	"fmt"
	"net"
	"testing"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/scripts/lab"
)

// A Redis that refuses connections at REDIS_ADDR is reported as dead unless it answers at the announced address.
func TestConfirmDead(t *testing.T) {
	t.Parallel()
	a, r := onServers(t)
	runID := status(t, a.local).RunID
	expect.Equal(t, "the announced address is the one that refuses", a.confirmDead(t.Context(), runID), cluster.WhyDead)
	other := lab.Host()
	a.known.Update(func(k *known.Snapshot) { k.Place = cluster.Place{Node: "n", Address: other + ":6379"} })
	expect.Equal(t, "it refuses at both", a.confirmDead(t.Context(), runID), cluster.WhyDead)
	_, err := r.Do("CONFIG", "SET", "bind", r.Host+" "+other)
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { // a machine with too much to do may be too slow once
		if got := a.confirmDead(t.Context(), runID); got != cluster.WhyUnhealthy {
			return fmt.Errorf("it answers at the announced address: got %s", got)
		}
		return nil
	})
	expect.Equal(t, "another instance answers there", a.confirmDead(t.Context(), "run-old"), cluster.WhyDead)

	silent, err := net.Listen("tcp", net.JoinHostPort(other, "0"))
	expect.OK(t, err)
	defer silent.Close() // it accepts, and does not answer
	at := func(addr string) {
		a.known.Update(func(k *known.Snapshot) { k.Place = cluster.Place{Node: "n", Address: addr} })
	}
	at(silent.Addr().String())
	expect.Equal(t, "the announced address is silent", a.confirmDead(t.Context(), runID), cluster.WhyUnhealthy)
	at(other + ":6379")
	_, err = r.Do("CONFIG", "SET", "requirepass", "changed")
	expect.OK(t, err)
	expect.Equal(t, "it denies access there", a.confirmDead(t.Context(), runID), cluster.WhyUnhealthy)
}
