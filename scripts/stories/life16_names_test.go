package stories_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"resec/scripts/lab"
)

// called is a connection of a client that takes a name.
func called(t *testing.T, r *lab.Redis, name string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := r.Dial(t.Context(), "tcp", r.Addr)
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	for _, command := range []string{"CLIENT SETNAME " + name, "PING"} {
		_, err := conn.Write([]byte(command + "\r\n"))
		ok(t, err)
		_, err = in.ReadString('\n')
		ok(t, err)
	}
	return conn, in
}

// A client that has the name of an agent's connections is no agent: it is cut from a former master as any other.
func TestLife16_AClientWithOurNameIsCut(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	conn, in := called(t, k.Redis[m], "resec:me")
	switched(t, k)
	ok(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := in.ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client is still connected: %v", err)
	}
	whole(t, k)
	ok(t, k.Stop())
}

// A client that took the name of an agent's connections before the agent was started does not keep it from working.
func TestLife16_AClientWithOurNameHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	called(t, k.Redis[0], "resec:m0")
	ok(t, k.Agent(0))
	lab.Eventually(t, patience, func() error { return k.Agents[0].Said("event=namesake_ignored") })
	published(t, k, 0)
	twin, err := k.Resec(k.Name+"-twin", 0, "agent") // which is an agent: it waits
	ok(t, err)
	lab.Eventually(t, patience, func() error { return twin.Said("manages this redis already") })
	throughout(t, 4*time.Second, func() error { // two TTLs of the check
		if twin.Said("event=redis_healthy") == nil {
			return errors.New("the twin works, too")
		}
		return nil
	})
	stopAll(t, []*lab.Process{twin})
	ok(t, k.Stop())
}
