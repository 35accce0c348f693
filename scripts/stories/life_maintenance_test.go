package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// ownService is the id of the i-th member's service, on its own Consul agent.
func ownService(t *testing.T, k *lab.Cluster, i int) string {
	t.Helper()
	services, err := k.Clients[i].Client.Agent().Services()
	ok(t, err)
	for id, s := range services {
		if strings.HasPrefix(s.Service, k.Name+"-") {
			return id
		}
	}
	t.Fatalf("m%d has no service", i)
	return ""
}

// A master whose node is in Consul's maintenance mode, so that no client finds it, hands over to a member that clients find.
// Where no other can be found nobody moves. A check that somebody else wrote counts as well.
func TestLife04_MastersNodeInMaintenance(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Clients: true})
	m := started(t, k)
	w := watched(t, k)
	ok(t, k.Clients[m].Client.Agent().EnableNodeMaintenance("new disks"))
	succeeded(t, k, w, m)
	const why = `clients cannot find it: the node's check _node_maintenance (Node Maintenance Mode) is critical: new disks`
	now := movedBecause(t, k, m, why)
	lab.Eventually(t, patience, func() error { return statusSays(k, now, 1, fmt.Sprintf("m%d: %s", m, why)) })
	refusal(t, k, fmt.Sprintf("m%d may not lead: clients could not find it", m), "switchover", "-to", fmt.Sprint("m", m))
	ok(t, k.Clients[m].Client.Agent().DisableNodeMaintenance())
	v := became(t, k, w, m)
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("clients find this member again") })
	for _, err := range []error{v.Sound(), v.OutageWithin(refusing)} {
		if err != nil {
			t.Error(err)
		}
	}

	third := others(k, m, now)[0]
	ok(t, k.Clients[m].Client.Agent().EnableNodeMaintenance("new disks"))
	ok(t, k.ForeignCheck(third, "their-check", ownService(t, k, third)))
	for _, i := range []int{m, third} {
		lab.Eventually(t, patience, func() error { return statusSays(k, now, 1, fmt.Sprintf("m%d: clients cannot find it", i)) })
	}
	before, err := stateOf(k)
	ok(t, err)
	ok(t, k.Clients[now].Client.Agent().EnableNodeMaintenance("all of them"))
	lab.Eventually(t, patience, func() error { return k.Agents[now].Said("no other member can serve them") })
	throughout(t, 3*time.Second, seldom(func() error {
		s, err := stateOf(k)
		if err == nil && (s.Master.ID != before.Master.ID || s.Master.Term != before.Master.Term) {
			err = fmt.Errorf("the master moved to %+v", s.Master)
		}
		return err
	}))
	ok(t, k.Clients[third].Client.Agent().PassTTL("their-check", "fine"))
	if got := movedBecause(t, k, now, "all of them"); got != third {
		t.Errorf("m%d leads, not m%d", got, third)
	}
	ok(t, errors.Join(k.Clients[now].Client.Agent().DisableNodeMaintenance(), k.Clients[m].Client.Agent().DisableNodeMaintenance()))
	whole(t, k)
	leads(t, k, third)
	ok(t, k.Stop())
}

// Of two members with the same data the one leads that clients find, also where the other one ranks first otherwise.
func TestLife04_CandidateInMaintenance(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Clients: true})
	m := started(t, k)
	hidden, found := min(others(k, m)[0], others(k, m)[1]), max(others(k, m)[0], others(k, m)[1])
	ok(t, k.Clients[hidden].Client.Agent().EnableServiceMaintenance(ownService(t, k, hidden), "later"))
	lab.Eventually(t, patience, func() error {
		value, err := memberKey(k, hidden)
		if err == nil && !strings.Contains(value, "later") {
			err = fmt.Errorf("the member key is %s", value)
		}
		return err
	})
	out, stderr, code, err := k.Run(0, "", "failover", "-dry-run")
	if err != nil || code != 0 || !strings.Contains(out, "clients could not find it: the service's check") {
		t.Errorf("failover -dry-run: exit %d %v\n%s%s", code, err, out, stderr)
	}
	kill(k.Redis[m].Process)
	lab.Eventually(t, patience, func() error {
		s, err := stateOf(k)
		if err == nil && s.Master.ID == fmt.Sprint("m", m) {
			err = errors.New("nobody has taken over")
		}
		return err
	})
	leads(t, k, found)
	ok(t, errors.Join(k.Redis[m].Restart(), k.Clients[hidden].Client.Agent().DisableServiceMaintenance(ownService(t, k, hidden))))
	whole(t, k)
	ok(t, k.Stop())
}

// elect has no other member to hand over to: it keeps its lock while the node of its Redis is in maintenance.
func TestLife04_ElectKeepsItsLock(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, StartParked: true, Servers: 1, Clients: true})
	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	published(t, k, 0)
	held, err := lockSession(k)
	ok(t, err)
	ok(t, k.Clients[0].Client.Agent().EnableNodeMaintenance("new disks"))
	throughout(t, 3*time.Second, seldom(func() error {
		now, err := lockSession(k)
		if err == nil && (now != held || !e.Running()) {
			err = fmt.Errorf("the lock is held by %s, and was by %s; elect runs: %t", now, held, e.Running())
		}
		return err
	}))
	ok(t, k.Clients[0].Client.Agent().DisableNodeMaintenance())
	published(t, k, 0)
	if code, err := e.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("elect exited with %d: %v", code, err)
	}
}

// memberKey is what the i-th agent keeps in Consul about itself.
func memberKey(k *lab.Cluster, i int) (string, error) {
	pair, _, err := k.Consul.Client.KV().Get(fmt.Sprintf("%s/members/m%d", lockKey(k), i), nil)
	if err != nil || pair == nil {
		return "", fmt.Errorf("m%d has no member key: %w", i, err)
	}
	return string(pair.Value), nil
}
