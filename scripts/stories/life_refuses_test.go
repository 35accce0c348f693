package stories_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// refusing bounds how long clients are without a master that takes their writes although another member would: INFO is read once
// a second, then the members are asked, and the new master takes over.
const refusing = 6 * time.Second

// movedBecause waits until another than the m-th leads, and checks that log and history name the reason.
func movedBecause(t *testing.T, k *lab.Cluster, m int, why string) (now int) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		s, err := stateOf(k)
		if err == nil && s.Master.ID == fmt.Sprint("m", m) {
			err = errors.New("the master has not moved")
		}
		for i := range k.Redis {
			if err == nil && s.Master.ID == fmt.Sprint("m", i) {
				now = i
			}
		}
		return err
	})
	ok(t, k.Agents[m].Said(why))
	lab.Eventually(t, patience, func() error {
		all, err := told(k)
		if last := len(all) - 1; err == nil && (!strings.Contains(all[last].Cause, why) || all[last].To != fmt.Sprint("m", now)) {
			err = fmt.Errorf("the last change is %+v, not because %s", all[last], why)
		}
		return err
	})
	return now
}

// statusSays returns nil if `resec status` exits with a code and prints the words.
func statusSays(k *lab.Cluster, i, want int, words string) error {
	out, stderr, code, err := k.Run(i, "", "status")
	if err == nil && (code != want || !strings.Contains(out, words)) {
		err = fmt.Errorf("status exits with %d, not %d with %q:\n%s%s", code, want, words, out, stderr)
	}
	return err
}

// A master that cannot save its data answers every write with MISCONF. It hands over to a member that takes them.
func TestLife13_DiskIsFull(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	w := watched(t, k)
	ok(t, os.RemoveAll(k.Redis[m].Dir))
	do(t, k.Redis[m], "CONFIG", "SET", "save", "1 1")
	succeeded(t, k, w, m)
	movedBecause(t, k, m, "it cannot save its data to disk (MISCONF")
	lab.Eventually(t, patience, func() error {
		return statusSays(k, m, 1, "as a replica redis would end with the first write: it cannot save its data to disk")
	})
	do(t, k.Redis[m], "CONFIG", "SET", "save", "") // it has not ended: it follows once its disk is well again
	v := became(t, k, w, m)
	for _, err := range []error{v.Sound(), v.OutageWithin(refusing), k.Stop()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// Where every member has the same fault nobody moves, and every view names it. As soon as one has room, it leads.
func TestLife13_MemoryIsFull(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := answeringAll(t, k)
	roomy := others(k, m)[1]
	healthy(t, k, 0, 1, 2)
	for _, i := range append(others(k, m), m) { // the master last: it would hand over to one that has room
		do(t, k.Redis[i], "CONFIG", "SET", "maxmemory", "1")
	}
	const full = "its memory is full (OOM): maxmemory is 1"
	before, err := stateOf(k)
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		status, output, err := check(k, m)
		if err == nil && (status != "warning" || !strings.Contains(output, full)) {
			err = fmt.Errorf("the check is %s, %q", status, output)
		}
		return err
	})
	ok(t, errors.Join(answers(t, k, m, "/master", 503, full), answers(t, k, m, "/health", 503, full),
		answers(t, k, roomy, "/health", 503, full), answers(t, k, roomy, "/replica", 200, ""),
		statusSays(k, 0, 1, fmt.Sprintf("m%d: refuses writes: %s", m, full))))
	if n, err := metric(t, k, m, `resec_redis_refuses_writes{reason="memory"}`); err != nil || n != 1 {
		t.Errorf("the metric is %v, %v", n, err)
	}
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("no other member can serve them") })
	throughout(t, 3*time.Second, seldom(func() error {
		s, err := stateOf(k)
		if err == nil && (s.Master.ID != before.Master.ID || s.Master.Term != before.Master.Term) {
			err = fmt.Errorf("the master moved to %+v", s.Master)
		}
		return err
	}))
	do(t, k.Redis[roomy], "CONFIG", "SET", "maxmemory", "0")
	if now := movedBecause(t, k, m, full); now != roomy {
		t.Errorf("m%d leads, not m%d", now, roomy)
	}
	whole(t, k)
	ok(t, errors.Join(answers(t, k, roomy, "/master", 200, ""), k.Stop()))
}

// A master that has as many clients as it may have keeps its place, and those that are connected write. Log, check, metric and
// status name it; load balancers close nothing for it.
func TestLife13_TooManyClients(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := answeringAll(t, k)
	healthy(t, k, 0, 1, 2)
	before, err := stateOf(k)
	ok(t, err)
	const full = "it refuses new clients: maxclients is 1"
	do(t, k.Redis[m], "CONFIG", "SET", "maxclients", "1")
	lab.Eventually(t, patience, func() error {
		status, output, err := check(k, m)
		if err == nil && (status != "passing" || !strings.Contains(output, full)) {
			err = fmt.Errorf("the check is %s, %q", status, output)
		}
		return err
	})
	ok(t, errors.Join(k.Agents[m].Said("event=redis_refuses_clients"), answers(t, k, m, "/master", 200, "")))
	lab.Eventually(t, patience, func() error { return statusSays(k, 0, 1, "it refuses new clients: maxclients is reached") })
	if n, err := metric(t, k, m, "resec_redis_refuses_clients"); err != nil || n != 1 {
		t.Errorf("the metric is %v, %v", n, err)
	}
	throughout(t, 3*time.Second, seldom(func() error {
		s, err := stateOf(k)
		if err == nil && (s.Master.ID != before.Master.ID || s.Master.Term != before.Master.Term) {
			err = fmt.Errorf("the master moved to %+v", s.Master)
		}
		return errors.Join(err, answers(t, k, m, "/master", 200, ""))
	}))
	do(t, k.Redis[m], "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") // the agents' connections, too
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=redis_access_denied") })
	throughout(t, 6*time.Second, seldom(func() error { // longer than its session
		s, err := stateOf(k)
		if err == nil && (s.Master.ID != before.Master.ID || s.Master.Term != before.Master.Term) {
			err = fmt.Errorf("the master moved to %+v", s.Master)
		}
		status, output, unread := check(k, m)
		if unread == nil && status != "passing" {
			unread = fmt.Errorf("the check is %s, %q", status, output)
		}
		return errors.Join(err, unread)
	}))
	do(t, k.Redis[m], "CONFIG", "SET", "maxclients", "10000")
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=redis_accepts_clients") })
	whole(t, k)
	ok(t, k.Stop())
}

// A master that is full and whose agent is dead cannot be stopped, so nobody can take over from it. The members try one after the
// other, and each waits longer after each failure. Once there is room one of them takes over.
func TestLife13_FullMasterWithoutItsAgent(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	elections := func() uint64 { // Consul counts how often the lock was acquired
		lock, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
		ok(t, err)
		return lock.LockIndex
	}
	do(t, k.Redis[m], "CONFIG", "SET", "maxclients", "1")
	k.Agents[m].Kill()
	lab.Eventually(t, patience, func() error {
		if n := elections(); n < 3 {
			return fmt.Errorf("%d elections, the master's among them", n)
		}
		return nil
	})
	before := elections()
	throughout(t, 10*time.Second, func() error { return nil })
	// The pauses of one member are 0.5, 1, 2, 4 and then 5 s. If each failure woke the other member there would be some 50.
	n := elections() - before
	if t.Logf("%d elections in 10 s", n); n > 12 {
		t.Error("that is too often")
	}
	do(t, k.Redis[m], "CONFIG", "SET", "maxclients", "10000")
	lab.Eventually(t, patience, func() error { return k.Settled(0) })
	ok(t, k.Stop())
}

// A Redis that is told to stop, with a replica that hangs, holds its clients' writes back for up to ten seconds before it ends.
// They are served by another master before that. If the stop is aborted, one master takes writes.
func TestLife13_ShuttingDown(t *testing.T) {
	t.Parallel()
	for _, aborted := range []bool{false, true} {
		t.Run("told to stop"+named(aborted, ", and aborted"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true})
			m := started(t, k)
			hung := others(k, m)[0]
			w := watched(t, k)
			k.Redis[hung].Freeze()
			received(t, k.Redis[m], 1) // so that the one that hangs lacks something
			k.Redis[m].Signal(syscall.SIGTERM)
			if aborted {
				lab.Eventually(t, patience, func() error { _, err := k.Redis[m].Do("SHUTDOWN", "ABORT"); return err })
			}
			if !aborted {
				succeeded(t, k, w, m)
				movedBecause(t, k, m, "it is shutting down")
			}
			k.Redis[hung].Thaw()
			if !aborted {
				lab.Eventually(t, patience, func() error {
					if k.Redis[m].Running() {
						return errors.New("it has not ended")
					}
					return nil
				})
				ok(t, k.Redis[m].Restart())
			}
			v, _ := judged(t, k, w)
			for _, err := range []error{v.Sound(), v.OutageWithin(refusing), k.Stop()} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Of two members with the same data the one leads that takes writes, also where the other one ranks first otherwise. Both dry runs
// say so, and a switchover to the other one is refused.
func TestLife13_FullCandidate(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	full, roomy := min(others(k, m)[0], others(k, m)[1]), max(others(k, m)[0], others(k, m)[1])
	do(t, k.Redis[full], "CONFIG", "SET", "maxmemory", "1")
	id := fmt.Sprint("m", full)
	const why = "it would refuse writes: its memory is full (OOM)"
	refusal(t, k, id+" may not lead: "+why, "switchover", "-dry-run", "-to", id)
	refusal(t, k, id+" may not lead: "+why, "switchover", "-to", id)
	out, stderr, code, err := k.Run(0, "", "failover", "-dry-run")
	if err != nil || code != 0 || !strings.Contains(out, why) {
		t.Errorf("failover -dry-run: exit %d %v\n%s%s", code, err, out, stderr)
	}
	lab.Eventually(t, patience, func() error { return statusSays(k, 0, 1, id+": as a master it would refuse writes") })
	kill(k.Redis[m].Process)
	lab.Eventually(t, patience, func() error {
		s, err := stateOf(k)
		if err == nil && s.Master.ID == fmt.Sprint("m", m) {
			err = errors.New("nobody has taken over")
		}
		return err
	})
	leads(t, k, roomy)
	ok(t, k.Redis[m].Restart())
	do(t, k.Redis[full], "CONFIG", "SET", "maxmemory", "0")
	whole(t, k)
	ok(t, k.Stop())
}

// A Redis in cluster mode is refused with one line, as one that is too old is.
func TestLife13_ClusterMode(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1, "--cluster-enabled", "yes")
	const want = "redis is in cluster mode, which elects its own masters: resec needs cluster-enabled no"
	for command, exits := range map[string]int{"agent": 1, "elect": 1, "promote": 2} {
		_, stderr, code, err := k.Run(0, "", command, "-log-level", "ERROR")
		if err != nil || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || code != exits {
			t.Errorf("%s: exit %d %v, without %q alone:\n%s", command, code, err, want, stderr)
		}
	}
}
