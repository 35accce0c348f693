package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/handlers"
	"resec/scripts/lab"
)

// heard are the words that hooks have written to a member's file of a folder.
func heard(dir, file string, i int) []string {
	data, _ := os.ReadFile(filepath.Join(dir, fmt.Sprint(file, ".m", i)))
	return strings.Fields(string(data))
}

// runs reports whether one of the processes is alive whose ids the hooks have written. A zombie is dead.
func runs(pids ...string) bool {
	for _, pid := range pids {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err == nil && !strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " Z") {
			return true
		}
	}
	return false
}

// stopped stops agents, one after the other, and fails the test if one takes as long as Nomad waits.
func stopped(t *testing.T, k *lab.Cluster, members ...int) {
	t.Helper()
	fig := figures(t)
	for _, i := range members {
		a, told := k.Agents[i], time.Now()
		if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s left with %d: %v", a.Name, code, err)
		}
		fig.within(fmt.Sprint("left after, m", i), time.Since(told), 5*time.Second)
		ok(t, a.Sane())
	}
}

// succeededBy waits until another than the m-th Redis is the master, and published.
func succeededBy(t *testing.T, k *lab.Cluster, m int) (next int) {
	t.Helper()
	lab.Eventually(t, patience, func() (err error) {
		if next, err = k.Master(); err == nil && next == m {
			err = errors.New("there is no new master yet")
		}
		return err
	})
	published(t, k, next)
	return next
}

// Whatever a hook does, a failover continues, and nothing is left of it when the agents have left.
func TestOperate04_HooksDuringAFailover(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name, script string
		hangs        bool
	}{
		{"it fails", `echo $$ >>pids.$MEMBER_ID; exit 3`, false},
		{"it hangs", `echo $$ >>pids.$MEMBER_ID; exec sleep 1000`, true},
		{"it hangs, and is deaf", `trap "" TERM; echo $$ >>pids.$MEMBER_ID; while :; do sleep 1; done`, true},
		{"it leaves a child behind", `(trap "" TERM; while :; do sleep 1; done) & echo $! >>pids.$MEMBER_ID`, true},
		{"it leaves one behind that holds its pipes, and hangs", `sleep 1000 & echo $! >>pids.$MEMBER_ID; sleep 1000 & echo $! >>pids.$MEMBER_ID; wait`, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script := "cd " + dir + "; " + v.script
			k := planned(t, lab.Plan{Members: 3, Env: []string{"ON_PROMOTE=" + script, "ON_REPLICATE=" + script}})
			m := started(t, k)
			each(others(k), func(i int) {
				lab.Eventually(t, patience, func() error {
					if len(heard(dir, "pids", i)) == 0 {
						return fmt.Errorf("no hook of m%d has run", i)
					}
					return nil
				})
			})
			k.Redis[m].Kill()
			next := succeededBy(t, k, m)
			if pids := heard(dir, "pids", next); v.hangs && !runs(pids...) { // that of the role before, or this one's
				t.Errorf("the hook of m%d no longer hangs: %v", next, pids)
			}
			ok(t, k.Redis[m].Start())
			whole(t, k)
			if !v.hangs {
				lab.Eventually(t, patience, func() error { return k.Agents[next].Said("exit status 3") })
			}
			stopped(t, k, others(k)...)
			each(others(k), func(i int) {
				if pids := heard(dir, "pids", i); runs(pids...) {
					t.Errorf("of the processes %v of m%d one still runs", pids, i)
				}
			})
		})
	}
}

// The longest way to leave, for Consul freezes at any moment of it, has room for a hook that does not want to end.
func TestOperate04_HookHangsAndConsulFreezesAsItLeaves(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 20, 100} {
		t.Run(fmt.Sprintf("%d ms", after), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			k := planned(t, lab.Plan{Members: 2, Servers: 1, Env: []string{
				"ON_PROMOTE=cd " + dir + `; trap "" TERM; (while :; do sleep 1; done) & echo $! $$ >pids.$MEMBER_ID; while :; do sleep 1; done`}})
			m := started(t, k)
			lab.Eventually(t, patience, func() error {
				if pids := heard(dir, "pids", m); len(pids) != 2 {
					return fmt.Errorf("the hook has written %q", pids)
				}
				return nil
			})
			frozen := make(chan struct{})
			time.AfterFunc(after*time.Millisecond, func() { k.Consul.Freeze(); close(frozen) })
			stopped(t, k, m)
			<-frozen
			if pids := heard(dir, "pids", m); runs(pids...) {
				t.Errorf("of %v one is left", pids)
			}
			k.Consul.Thaw()
			ok(t, k.Agent(m))
			whole(t, k)
			ok(t, k.Stop())
		})
	}
}

// Hooks get the same input as handlers under `elect` and `follow`.
func TestOperate04_WhatHooksAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tell := func(file string) string { return "cat >>" + dir + "/" + file + ".$MEMBER_ID" }
	k := planned(t, lab.Plan{Members: 3, Env: []string{
		"ON_PROMOTE=" + tell("promoted") + "; echo $CONSUL_LOCK_HELD >>" + dir + "/held.$MEMBER_ID",
		"ON_REPLICATE=" + tell("follows") + "; echo $CONSUL_INDEX >>" + dir + "/index.$MEMBER_ID",
	}})
	m := started(t, k)
	told := func(i int, want handlers.Event) {
		t.Helper()
		lab.Eventually(t, patience, func() error {
			all := heard(dir, "promoted", i)
			var ev handlers.Event
			if len(all) == 0 || json.Unmarshal([]byte(all[len(all)-1]), &ev) != nil {
				return fmt.Errorf("m%d has heard %q", i, all)
			}
			previous := ""
			if ev.Previous != nil {
				previous = ev.Previous.ID
			}
			if ev.Type != "promote" || ev.Term != want.Term || previous != want.Previous.ID {
				return fmt.Errorf("m%d has heard %q, not %+v", i, all, want)
			}
			return nil
		})
		if held := heard(dir, "held", i); len(held) == 0 || held[0] != "true" {
			t.Errorf("CONSUL_LOCK_HELD is %q", held)
		}
	}
	follows := func(i, master int, term uint64) {
		t.Helper()
		lab.Eventually(t, patience, func() error {
			all := heard(dir, "follows", i)
			if len(all) == 0 {
				return fmt.Errorf("m%d has heard nothing", i)
			}
			entries, err := handlers.ParseEntries([]byte(all[len(all)-1]))
			if e, ok := handlers.MasterOf(entries, ""); err == nil && (!ok || e.Addr() != k.Redis[master].Addr || e.Term() != term || e.Service.Service != k.Name+"-master") {
				err = fmt.Errorf("m%d has heard %q", i, all)
			}
			return err
		})
		index := heard(dir, "index", i)
		if n, err := strconv.Atoi(index[len(index)-1]); err != nil || n == 0 {
			t.Errorf("CONSUL_INDEX is %q", index)
		}
	}
	told(m, handlers.Event{Term: 1, Previous: &handlers.Peer{}})
	each(others(k, m), func(i int) { follows(i, m, 1) })
	k.Redis[m].Kill()
	next := succeededBy(t, k, m)
	told(next, handlers.Event{Term: 2, Previous: &handlers.Peer{ID: fmt.Sprint("m", m)}})
	follows(others(k, m, next)[0], next, 2)
	ok(t, k.Redis[m].Start())
	whole(t, k)
	follows(m, next, 2)
	stopped(t, k, next)
	last, err := k.Master()
	ok(t, err)
	follows(next, last, 3)
	stopped(t, k, others(k, next)...)
	each(others(k), func(i int) {
		for _, bad := range []string{"hook failed", "hook skips an event"} {
			if k.Agents[i].Said(bad) == nil {
				t.Errorf("m%d said %q", i, bad)
			}
		}
	})
}

// Without a guard the agent fences at the end of the lease; the command line's hooks count, and the environment's do not then.
func TestOperate04_FenceHook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := planned(t, lab.Plan{Members: 1, Servers: 1, Env: []string{"GUARD=off", "ON_FENCE=touch " + dir + "/no.m0"}})
	a, err := k.Resec("fenced", 0, "agent", "-on-fence", "cat >>"+dir+"/first.m0", "-on-fence", "cat >>"+dir+"/second.m0")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return k.Redis[0].IsMaster(0) })
	published(t, k, 0)
	k.Servers[0].Freeze()
	for _, file := range []string{"first", "second"} {
		lab.Eventually(t, patience, func() error {
			data, err := os.ReadFile(filepath.Join(dir, file+".m0"))
			if err == nil && string(data) != `{"type":"fence","term":1,"reason":"the lease is over"}`+"\n" {
				err = fmt.Errorf("it has heard %q", data)
			}
			return err
		})
	}
	k.Servers[0].Thaw()
	lab.Eventually(t, patience, func() error { return unfenced(k) })
	if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("it left with %d: %v", code, err)
	}
	ok(t, a.Sane())
	if _, err := os.Stat(filepath.Join(dir, "no.m0")); err == nil {
		t.Error("the hook of the environment ran, too")
	}
}

// An agent that stalled fences its master until Consul has answered, and notifies its hooks.
func TestOperate04_FenceHookAfterAHang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := planned(t, lab.Plan{Members: 2, Env: []string{"ON_FENCE=cat >>" + dir + "/fenced.$MEMBER_ID"}})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) }) // without a guard it need not
	k.Agents[m].Freeze()
	throughout(t, 1200*time.Millisecond, func() error { return nil })
	k.Agents[m].Thaw()
	lab.Eventually(t, patience, func() error {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("fenced.m", m)))
		if err == nil && string(data) != `{"type":"fence","term":1,"reason":"this process stalled"}`+"\n" {
			err = fmt.Errorf("it has heard %q", data)
		}
		return err
	})
	whole(t, k)
	ok(t, unfenced(k))
	ok(t, k.Stop())
}
