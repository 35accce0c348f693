package stories_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"resec/scripts/lab"
)

// One Redis was there before the cluster was, and has keys. Whoever's agent comes first, they stand on all three.
func TestLead02_FirstElectionOverData(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for position, name := range []string{"first", "second", "last"} {
			if !turn(position, bit(parked)) {
				continue
			}
			t.Run("its agent comes "+name+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				var args []string
				if parked {
					args = bornParked
				}
				k := cluster(t, 3, args...)
				k.Env = append(k.Env, "HEALTHCHECK_INTERVAL=3s") // 6 s for three agents to start in, on a busy machine
				old := keys{prefix: "old", n: 10_000}
				had(t, k.Redis[0], old)
				keep(t, 10_000, k.Redis[0])
				order := []int{1, 2}
				order = append(order[:position:position], append([]int{0}, order[position:]...)...)
				for _, i := range order {
					ok(t, k.Agent(i))
				}
				whole(t, k, old)
				leads(t, k, 0)
				ok(t, k.Stop())
			})
		}
	}
}

// The one with the keys comes to a cluster that has a master: neither is wiped, until an operator says which it shall be.
func TestLead02_DataJoinsARunningCluster(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for i, n := range []int{0, 100} {
			for _, forced := range []bool{false, true} {
				if !turn(bit(parked), i, bit(forced)) {
					continue
				}
				name := fmt.Sprintf("of %d keys", n) + named(parked, ", started parked") + named(forced, ", then forced")
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					joinsWithData(t, n, parked, forced)
				})
			}
		}
	}
}

func joinsWithData(t *testing.T, n int, parked, forced bool) {
	k := planned(t, lab.Plan{Members: 3, StartParked: parked, Persist: lab.AOF})
	for i := range 2 {
		ok(t, k.Agent(i))
	}
	m := led(t, k, 0, 1)
	theirs := keys{prefix: "theirs", n: n}
	ok(t, theirs.write(k.Redis[m]))
	received(t, k.Redis[m], 1)
	unrelated := keys{prefix: "unrelated", n: 10_000}
	had(t, k.Redis[2], unrelated)
	if !forced {
		keep(t, n, k.Redis[0], k.Redis[1])
	}
	keep(t, 10_000, k.Redis[2])
	ok(t, k.Agent(2))
	saysWhy(t, k, 2, "never this cluster's")
	asTheyWere := func() error {
		now, err := k.Master()
		if err == nil && now != m {
			err = fmt.Errorf("the master moved from %d to %d", m, now)
		}
		return errors.Join(err, k.Redis[1-m].Follows(k.Redis[m]), k.Redis[2].Is("role", "slave", "master_link_status", "down"),
			theirs.on(k.Redis[0]), theirs.on(k.Redis[1]), unrelated.on(k.Redis[2]))
	}
	ok(t, asTheyWere())
	if !forced {
		throughout(t, 3*time.Second, asTheyWere)
		neverElected(t, k, m, theirs, unrelated)
		ok(t, k.Stop())
		return
	}
	forceTo2(t, k, m, n, asTheyWere)
	lab.Eventually(t, patience, func() error { return k.Redis[2].IsMaster(2) })
	whole(t, k, unrelated)
	leads(t, k, 2)
	ok(t, k.Stop())
}

// led waits until one of two members leads the other, and is published. It writes nothing to them.
func led(t *testing.T, k *lab.Cluster, a, b int) (m int) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		m = a
		if k.Redis[m].Is("role", "master") != nil || k.Redis[b].Follows(k.Redis[a]) != nil {
			m = b
		}
		addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
		if err == nil && addr != k.Redis[m].Addr {
			err = errors.New("the master is at " + addr)
		}
		return errors.Join(err, k.Redis[a+b-m].Follows(k.Redis[m]))
	})
	return m
}

// neverElected: not even when it is all that is left. The others come back with what they have, and it stands as well.
func neverElected(t *testing.T, k *lab.Cluster, m int, theirs, unrelated keys) {
	t.Helper()
	aof.synced(t, k.Redis...)
	kill(k.Redis[0].Process, k.Redis[1].Process)
	parked := func() error { return k.Redis[2].Is("role", "slave", "master_link_status", "down") }
	throughout(t, 8*time.Second, parked)
	saysWhy(t, k, 2, "never this cluster's")
	if theirs.n == 0 { // there is no data to lose, so any of them may lead
		return
	}
	ok(t, k.Redis[1-m].Start())
	ok(t, k.Redis[m].Start())
	lab.Eventually(t, patience, func() error { return errors.Join(k.Redis[0].Ready(t.Context()), k.Redis[1].Ready(t.Context())) })
	led(t, k, 0, 1)
	ok(t, errors.Join(theirs.on(k.Redis[0]), theirs.on(k.Redis[1]), unrelated.on(k.Redis[2]), parked()))
}

// forceTo2 asks in vain without -force, and in words with -dry-run, before it is done.
func forceTo2(t *testing.T, k *lab.Cluster, m, n int, asTheyWere func() error) {
	t.Helper()
	lines := func(s string) int { return len(nonEmpty(s)) }
	stdout, stderr, code, err := k.Run(0, "", "failover", "-to", "m2")
	if err != nil || code != 1 || lines(stderr) != 1 {
		t.Errorf("without -force: exit %d %v\n%s%s", code, err, stdout, stderr)
	}
	before, err := stateOf(k)
	ok(t, err)
	stdout, stderr, code, err = k.Run(0, "", "failover", "-to", "m2", "-force", "-dry-run")
	if err != nil || code != 0 || n > 0 && !mentions(stdout+stderr, strconv.Itoa(n)) {
		t.Errorf("a dry run does not tell of the cost, %d keys: exit %d %v\n%s%s", n, code, err, stdout, stderr)
	}
	stdout, stderr, code, err = k.Run(0, "", "failover", "-dry-run")
	if err != nil || code != 0 || !mentions(stdout, "m0") || !mentions(stdout, "m1") || !mentions(stdout, "m2") {
		t.Errorf("no ranking: exit %d %v\n%s%s", code, err, stdout, stderr)
	}
	ok(t, asTheyWere())
	after, err := stateOf(k)
	if err != nil || after.Master != before.Master {
		t.Errorf("a dry run changed the state: %+v %v", after, err)
	}
	stdout, stderr, code, err = k.Run(m, "", "failover", "-to", "m2", "-force", "-timeout", "30s")
	if err != nil || code != 0 || n > 0 && !mentions(stdout+stderr, strconv.Itoa(n)) {
		t.Fatalf("-force: exit %d %v\n%s%s", code, err, stdout, stderr)
	}
}
