package stories_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// A replica that does not know a command of its master's stream is in sync by its offset alone. It is named, does not count for the
// guard, and is elected neither by an operator nor when the master dies.
func TestLife20_StreamErrors(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	good := others(k, m)[0]
	differs, err := k.Add(lab.Member{RedisArgs: []string{"--rename-command", "INCR", "", "--replica-priority", "1"}})
	ok(t, err)
	ok(t, k.Agent(differs))
	whole(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	id := fmt.Sprint("m", differs)
	if got := do(t, k.Redis[m], "INCR", "counter"); got != "1" {
		t.Fatalf("the counter is %s", got)
	}
	lab.Eventually(t, patience, func() error { return k.Agents[differs].Said("event=stream_errors ") })
	const why = "answered 1 commands of its master with an error"
	saysWhy(t, k, differs, why)
	refusal(t, k, id+" may not lead: redis "+why, "switchover", "-to", id)

	k.Redis[good].Kill()
	lab.Eventually(t, patience, func() error { return guardPublished(k, 0) })
	ok(t, k.Redis[good].Restart())
	lab.Eventually(t, patience, func() error { return errors.Join(guardPublished(k, 1), recordedInSync(k, good)) })

	k.Redis[m].Kill()
	lab.Eventually(t, patience, func() error { return k.Redis[good].Is("role", "master") })
	if got := do(t, k.Redis[good], "GET", "counter"); got != "1" {
		t.Errorf("the new master's counter is %s", got)
	}
	ok(t, k.Redis[m].Restart())
	lab.Eventually(t, patience, func() error { return k.Redis[m].Follows(k.Redis[good]) })
	// With its data gone and the command known it is level again: here the command is in nobody's stream any more.
	ok(t, k.Redis[differs].RestartEmpty())
	whole(t, k)
	leads(t, k, good)
	ok(t, k.Stop())
}

// guardPublished returns nil if others count on that guard. The one that is set is higher: Redis counts every replica.
func guardPublished(k *lab.Cluster, want int) error {
	p, err := countedOn(k)
	if err == nil && p.Master.Guard != want {
		err = fmt.Errorf("the guard is published as %d, not %d", p.Master.Guard, want)
	}
	return err
}

// recordedInSync returns nil if the state records the present run of the i-th Redis as in sync.
func recordedInSync(k *lab.Cluster, i int) error {
	s, err := stateOf(k)
	if err != nil {
		return err
	}
	run, err := k.Redis[i].Info("run_id")
	if r := s.Record[fmt.Sprint("m", i)]; err == nil && (r.RunID != run || r.Joining) {
		err = fmt.Errorf("%s is recorded as %+v", k.Redis[i].Name, r)
	}
	return err
}

// A replica cannot read the master's full sync, which deletes its data first. It is parked. When it has its data again, from its disk, it
// keeps them: the same full sync is not tried once more.
func TestLife20_FullSyncFails(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, StartParked: true, Persist: lab.AOF})
	started(t, k)
	newer := addNewer(t, k)
	stored := wrote(t, k, 0, keys{prefix: "stored", n: 1000})
	command(t, k, "switchover", "-to", fmt.Sprint("m", newer))
	whole(t, k, stored)
	ok(t, k.Redis[0].KillAndRestart())
	saysWhy(t, k, 0, cannotRead)
	do(t, k.Redis[0], "REPLICAOF", k.Redis[newer].Host, "6379") // somebody does not believe that
	const failed = "could not read its last full sync"
	saysWhy(t, k, 0, failed)
	lab.Eventually(t, patience, func() error { return parkedNow(k.Redis[0]) })

	ok(t, k.Redis[0].KillAndRestart())
	saysWhy(t, k, 0, failed)
	lab.Eventually(t, patience, func() error { return errors.Join(parkedNow(k.Redis[0]), stored.on(k.Redis[0])) })
	ok(t, k.Stop())
}

// cannotRead is why an older server is parked under a newer master.
const cannotRead = "cannot read a full sync of redis 8.0"

// addNewer adds a member whose server is of a newer version.
func addNewer(t *testing.T, k *lab.Cluster) int {
	t.Helper()
	dir, err := lab.Need("redis-8.0")
	ok(t, err)
	i, err := k.Add(lab.Member{Server: filepath.Join(dir, "redis-server")})
	ok(t, err)
	ok(t, k.Agent(i))
	whole(t, k)
	return i
}

// parkedNow returns nil if a Redis is parked.
func parkedNow(r *lab.Redis) error {
	return errors.Join(r.Is("master_host", "127.0.0.1"), r.Is("master_port", "1"))
}

// Two older servers and a newer one, whose full sync they cannot read: the dry run says so, and an older one is chosen. Made the master
// all the same, the newer one deletes nothing on the older ones, which lead again when it is gone.
func TestLife20_Versions(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Persist: lab.AOF})
	m := started(t, k)
	old := others(k, m)[0]
	newer := addNewer(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
	id := fmt.Sprint("m", newer)
	if out := command(t, k, "switchover", "-dry-run"); !strings.Contains(out, fmt.Sprint("m", old, " would lead")) {
		t.Errorf("it would not choose the older one:\n%s", out)
	}
	if out := command(t, k, "switchover", "-to", id, "-dry-run"); strings.Count(out, "cannot read a full sync of "+id) != 2 {
		t.Errorf("it does not say what follows:\n%s", out)
	}
	command(t, k, "switchover", "-to", id)
	whole(t, k, stored)
	leads(t, k, newer)
	for _, i := range []int{m, old} {
		ok(t, k.Redis[i].KillAndRestart())
		keep(t, stored.n, k.Redis[i])
		saysWhy(t, k, i, cannotRead)
	}
	kill(k.Agents[newer], k.Redis[newer].Process)
	lab.Eventually(t, patience, func() error {
		now, err := k.Master()
		if err == nil {
			err = k.Redis[others(k, now, newer)[0]].Follows(k.Redis[now])
		}
		return err
	})
	ok(t, errors.Join(k.Redis[newer].Restart(), k.Agent(newer)))
	whole(t, k, stored)
	ok(t, k.Stop())
}
