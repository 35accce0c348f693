package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"resec/scripts/lab"
)

// An agent that waits, because its Redis wants a password that it does not have, is a member that nobody misses without a word. It
// takes its entry away when it is told to stop.
func TestLife24_WaitingAgentIsShown(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	started(t, k)
	i, err := k.Add(lab.Member{RedisArgs: []string{"--requirepass", "secret"}})
	ok(t, err)
	ok(t, k.Agent(i))
	says := fmt.Sprintf("m%d: ", i)
	lab.Eventually(t, patience, func() error {
		return errors.Join(statusSays(k, 0, 1, says), statusSays(k, 0, 1, "not started yet: redis is unhealthy"))
	})
	lab.Eventually(t, patience, func() error {
		status, output, err := check(k, i)
		if err == nil && (status != "critical" || !strings.Contains(output, "not started yet: redis is unhealthy")) {
			err = fmt.Errorf("the check is %s, %q", status, output)
		}
		return err
	})
	code, err := k.Agents[i].Stop(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Fatalf("it left with %d: %v", code, err)
	}
	lab.Eventually(t, patience, func() error { return errors.Join(forgotten(k, i), statusSays(k, 0, 0, "healthy: ")) })
	ok(t, k.Agent(i))
	lab.Eventually(t, patience, func() error { return statusSays(k, 0, 1, says) })
	do(t, k.Redis[i], "CONFIG", "SET", "requirepass", "")
	whole(t, k)
	lab.Eventually(t, patience, func() error { return statusSays(k, 0, 0, "healthy: ") })
	ok(t, k.Stop())
}

// A password that is set on the running master alone keeps `status` out, and nothing else: there is a master.
func TestLife24_MasterDeniesAccessToStatus(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	do(t, k.Redis[m], "CONFIG", "SET", "requirepass", "secret")
	ok(t, statusSays(k, 0, 1, fmt.Sprintf("degraded: master m%d, ", m)))
	ok(t, statusSays(k, 0, 1, "NOAUTH"))
	ok(t, statusSays(k, 0, 1, "its agent says that it is the master"))
	do(t, k.Redis[m], "CONFIG", "SET", "requirepass", "")
	whole(t, k)
	leads(t, k, m)
	ok(t, errors.Join(statusSays(k, 0, 0, "healthy: "), k.Stop()))
}

// A Redis that crashes again and again is not healthy in between.
func TestLife24_CrashingRedis(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	r := others(k, started(t, k))[0]
	for range 3 {
		kill(k.Redis[r].Process)
		ok(t, k.Redis[r].Restart())
		run, err := k.Redis[r].Info("run_id")
		ok(t, err)
		lab.Eventually(t, patience, func() error {
			key, err := memberKey(k, r)
			if err == nil && !strings.Contains(key, run) {
				err = fmt.Errorf("its agent knows %s", key)
			}
			return err
		})
	}
	whole(t, k)
	ok(t, statusSays(k, 0, 1, fmt.Sprintf("m%d: its redis was restarted 3 times lately", r)))
	ok(t, k.Stop())
}

// A member whose agent and Redis died, and whose service Consul has removed after CONSUL_DEREGISTER_SERVICE_AFTER, is named until
// somebody says that it will not come back.
func TestLife24_GoneMember(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	gone := others(k, started(t, k))[0]
	kill(k.Agents[gone], k.Redis[gone].Process)
	lab.Eventually(t, patience, func() error {
		services, err := k.Consul.Client.Agent().Services()
		if err != nil {
			return err
		}
		for id, s := range services {
			if s.Address == k.Redis[gone].Host {
				err = errors.Join(err, k.Consul.Client.Agent().ServiceDeregister(id))
			}
		}
		return err
	})
	id := fmt.Sprint("m", gone)
	lab.Eventually(t, patience, func() error { return statusSays(k, others(k, gone)[0], 1, id+": it is gone") })
	command(t, k, "forget", id)
	ok(t, statusSays(k, others(k, gone)[0], 0, "healthy: "))
	ok(t, k.Redis[gone].Restart())
	ok(t, k.Agent(gone))
	whole(t, k)
	ok(t, k.Stop())
}
