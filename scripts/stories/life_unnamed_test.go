package stories_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A Redis replicates from a master that is no member of anything. Its agent leaves that master alone and says how to go on. Once an
// agent runs beside that master too, the two are a cluster, and nothing has moved.
func TestLife11_SomebodyElsesMaster(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2})
	host, port, err := net.SplitHostPort(k.Redis[0].Addr)
	ok(t, err)
	stored := keys{prefix: "stored", n: 100}
	ok(t, stored.write(k.Redis[0]))
	do(t, k.Redis[1], "REPLICAOF", host, port)
	lab.Eventually(t, patience, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	client := lab.StartWriter(t.Context(), func(context.Context) (string, error) { return k.Redis[0].Addr, nil })
	defer client.Stop()
	ok(t, k.Agent(1))
	const words = "which answers and is no member"
	lab.Eventually(t, patience, func() error {
		_, output, err := check(k, 1)
		if err == nil && !strings.Contains(output, words) {
			err = errors.New("the check says " + output)
		}
		return errors.Join(err, k.Agents[1].Said(words))
	})
	if out, stderr, code, err := k.Run(1, "", "status"); err != nil || code != 2 || !strings.Contains(out, words) {
		t.Errorf("resec status: exit %d, %v\n%s%s", code, err, out, stderr)
	}
	throughout(t, 6*time.Second, func() error { // longer than any wait of an election
		return errors.Join(k.Redis[0].Is("role", "master"), k.Redis[1].Follows(k.Redis[0]))
	})
	client.Stop()
	if lost, err := client.LostOn(k.Redis[0]); err != nil || len(lost) > 0 || len(client.Errors()) > 0 {
		t.Errorf("%d writes are lost, %v; refused: %v", len(lost), err, client.Errors())
	}
	if _, err := k.Redis[0].Stop(syscall.SIGTERM); err != nil { // a restart is no death
		t.Error(err)
	}
	throughout(t, 3*time.Second, func() error { return k.Redis[1].Is("role", "slave") })
	ok(t, k.Redis[0].Restart())
	ok(t, stored.write(k.Redis[0]))
	lab.Eventually(t, patience, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	ok(t, k.Agent(0))
	whole(t, k, stored)
	leads(t, k, 0)
	ok(t, k.Stop())
}

// That master has a password which the agent does not have. It is alive all the same, and left alone without an attempt.
func TestLife11_SomebodyElsesMasterDeniesAccess(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2})
	host, port, err := net.SplitHostPort(k.Redis[0].Addr)
	ok(t, err)
	do(t, k.Redis[0], "CONFIG", "SET", "requirepass", "theirs")
	do(t, k.Redis[1], "CONFIG", "SET", "masterauth", "theirs")
	do(t, k.Redis[1], "REPLICAOF", host, port)
	lab.Eventually(t, patience, func() error { return k.Redis[1].Is("master_link_status", "up") })
	ok(t, k.Agent(1))
	const words = "which answers and is no member"
	lab.Eventually(t, patience, func() error {
		status, output, err := check(k, 1)
		if err == nil && (status != "warning" || !strings.Contains(output, words)) {
			err = errors.New("the check is " + status + ": " + output)
		}
		return errors.Join(err, statusSays(k, 1, 2, words))
	})
	throughout(t, 6*time.Second, func() error { return k.Redis[1].Is("master_link_status", "up") })
	if k.Agents[1].Said("event=elected") == nil {
		t.Error("it has tried to take over")
	}
	ok(t, k.Stop())
}

// The same under `resec elect`, which knows no members; and by force, which an operator may use, the member leads.
func TestLife11_ElectAndForce(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2})
	host, port, err := net.SplitHostPort(k.Redis[0].Addr)
	ok(t, err)
	do(t, k.Redis[1], "REPLICAOF", host, port)
	lab.Eventually(t, patience, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	e, err := k.Resec("elect", 1, "elect")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return e.Said("which answers and is no member") })
	throughout(t, 2*time.Second, func() error { return k.Redis[0].Is("role", "master") })
	if code, err := e.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("elect ended with %d: %v\n%s", code, err, e.Output())
	}
	ok(t, k.Agent(1))
	lab.Eventually(t, patience, func() error { return k.Agents[1].Said("which answers and is no member") })
	out, stderr, code, err := k.Run(1, "", "failover", "-to", "m1", "-force")
	if err != nil || code != 0 {
		t.Errorf("resec failover: exit %d, %v\n%s%s", code, err, out, stderr)
	}
	lab.Eventually(t, patience, func() error { return k.Redis[1].Is("role", "master") })
	ok(t, k.Stop())
}
