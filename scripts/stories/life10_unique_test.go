package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// working returns nil if exactly one of the agents works, and the other one waits and has said why.
func working(agents []*lab.Process, why string) error {
	waiting := 0
	for _, a := range agents {
		out := a.Output()
		gave := strings.LastIndex(out, "event=gives_way")
		waits := max(gave, strings.LastIndex(out, "event=not_started"))
		if waits > strings.LastIndex(out, "event=redis_healthy") && strings.Contains(out[waits:], why) {
			waiting++
		}
	}
	if waiting != len(agents)-1 {
		return fmt.Errorf("%d of %d agents wait:\n%s\n%s", waiting, len(agents), agents[0].Output(), agents[1].Output())
	}
	return nil
}

// both starts two agents at the same moment.
func both(t *testing.T, k *lab.Cluster, at [2]int, ids [2]string) []*lab.Process {
	t.Helper()
	var agents []*lab.Process
	for i := range at {
		p, err := k.Resec(fmt.Sprint(k.Name, "-twin", i), at[i], "agent", "-member-id="+ids[i])
		ok(t, err)
		agents = append(agents, p)
	}
	return agents
}

// stopAll stops agents, which leave with 0.
func stopAll(t *testing.T, agents []*lab.Process) {
	t.Helper()
	for _, a := range agents {
		if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s left with %d: %v\n%s", a.Name, code, err, a.Output())
		}
		ok(t, a.Sane())
	}
}

// Two agents with two ids beside one Redis start at the same moment. One works, and its entry in the catalogue stays as it is; the
// other one waits, and leaves without a trace.
func TestLife10_TwoIDsBesideOneRedis(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	agents := both(t, k, [2]int{0, 0}, [2]string{"x", "y"})
	lab.Eventually(t, patience, func() error { return working(agents, "live member") })
	published(t, k, 0)
	last := keepsEntry(t, k, agents)
	lab.Eventually(t, patience, func() error {
		out, stderr, code, err := k.Run(0, "", "status")
		if err == nil && (code != 0 || !strings.Contains(out, "master "+last)) {
			err = fmt.Errorf("status: exit %d\n%s%s", code, out, stderr)
		}
		return err
	})
	waits := 0
	if last == "x" {
		waits = 1
	}
	stopAll(t, agents[waits:waits+1])
	published(t, k, 0)
	stopAll(t, agents[1-waits:2-waits])
}

// keepsEntry fails the test unless the master's entry is one agent's for three intervals, and returns that one's id.
func keepsEntry(t *testing.T, k *lab.Cluster, agents []*lab.Process) (last string) {
	t.Helper()
	throughout(t, 3*time.Second, func() error { // three intervals
		all, err := k.Entries(k.Name+"-master", "")
		if err != nil || len(all) != 1 {
			return errors.Join(err, fmt.Errorf("%d masters are listed", len(all)))
		}
		if id := all[0].Service.Meta["id"]; last != "" && id != last {
			return fmt.Errorf("the entry is that of %s after that of %s", id, last)
		} else if id != "" {
			last = id
		}
		return working(agents, "live member")
	})
	return last
}

// Two agents register one service instance of one Consul agent for two Redis servers, because neither announces a host. They start
// at the same moment. One works, and its entry stays as it is; the other one waits.
func TestLife10_OneServiceForTwoRedis(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2, bornParked...)
	var agents []*lab.Process
	for i := range k.Redis {
		p, err := k.Script(fmt.Sprint(k.Name, "-twin", i), i, fmt.Sprint("exec env ANNOUNCE_ADDR= resec agent -member-id=m", i))
		ok(t, err)
		agents = append(agents, p)
	}
	lab.Eventually(t, patience, func() error { return working(agents, "live member") })
	lab.Eventually(t, patience, func() error {
		all, err := k.Entries(k.Name+"-master", "")
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("%d masters are listed", len(all))
		}
		return err
	})
	works := keepsEntry(t, k, agents)
	waits := 0
	if works == "m0" {
		waits = 1
	}
	stopAll(t, agents[waits:waits+1])
	ok(t, k.Redis[1-waits].IsMaster(0))
	stopAll(t, agents[1-waits:2-waits])
}

// Two agents of one id beside two Redis servers start at the same moment. One leads, and the other one
// waits; status names both.
func TestLife10_OneIDOnTwoRedis(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2, bornParked...)
	agents := both(t, k, [2]int{0, 1}, [2]string{"same", "same"})
	lab.Eventually(t, patience, func() error { return working(agents, `MEMBER_ID`) })
	var m int
	lab.Eventually(t, patience, func() (err error) { m, err = k.Master(); return err })
	published(t, k, m)
	lab.Eventually(t, patience, func() error {
		out, stderr, code, err := k.Run(1-m, "", "status")
		if err == nil && (code != 1 || !strings.Contains(out, k.Redis[m].Addr) ||
			!strings.Contains(out, "another live agent, of the redis at "+k.Redis[1-m].Addr+", has its MEMBER_ID")) {
			err = fmt.Errorf("status: exit %d\n%s%s", code, out, stderr)
		}
		return err
	})
	ok(t, k.Redis[1-m].Is("role", "slave"))
	stopAll(t, agents[1-m:2-m])
	stopAll(t, agents[m:m+1])
}

// A check of the published master's node is critical, and an agent with its id is started elsewhere. It waits, and status shows the
// published master.
func TestLife10_SameIDWhileTheNodeIsCritical(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, Servers: 1, Clients: true, StartParked: true})
	ok(t, k.Agent(0))
	published(t, k, 0)
	ok(t, k.ForeignCheck(0, "disk", "")) // of the node
	lab.Eventually(t, patience, func() error {
		all, err := k.Entries(k.Name+"-master", "")
		if err == nil && (len(all) != 1 || all[0].Checks.AggregatedStatus() != "critical") {
			err = errors.New("the master's node is not critical yet")
		}
		return err
	})
	second, err := k.Resec(k.Name+"-second", 1, "agent", "-member-id=m0")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return second.Said("is also that of the live service") })
	out, stderr, code, err := k.Run(1, "", "status", "-json")
	var report struct {
		Verdict string
		Members []struct{ ID, Address, Role string }
	}
	err = errors.Join(err, json.Unmarshal([]byte(out), &report))
	if err != nil || code > 1 || len(report.Members) != 1 || report.Members[0].Address != k.Redis[0].Addr || report.Members[0].Role != "master" {
		t.Errorf("status: exit %d %v\n%s%s", code, err, out, stderr)
	}
	ok(t, k.Redis[0].IsMaster(0))
	stopAll(t, []*lab.Process{second})
	ok(t, k.Stop())
}
