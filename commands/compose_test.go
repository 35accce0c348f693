package commands_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers"
	"resec/scripts/lab"
)

// The shell script in the README combines elect and follow.
func TestCompose_ShellScriptSurvivesTheMastersDeath(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	script := lab.Block(t, lab.HandlersPage, "sh compose")
	for i := range k.Redis {
		p, err := k.Script(fmt.Sprintf("compose%d", i), i, script)
		expect.OK(t, err)
		k.Agents[i] = p
	}
	settled := func() error {
		m, err := k.Linked()
		if err != nil {
			return err
		}
		addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
		if err == nil && addr != k.Redis[m].Addr {
			err = fmt.Errorf("the catalogue lists %s as master", addr)
		}
		return err
	}
	lab.Eventually(t, 15*time.Second, settled)
	m, err := k.Master()
	expect.OK(t, err)
	k.Redis[m].Kill()
	lab.Eventually(t, 15*time.Second, settled)
	expect.OK(t, k.Redis[m].Restart())
	lab.Eventually(t, 15*time.Second, settled)
	for _, p := range k.Agents {
		if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s ended with %d: %v", p.Name, code, err)
		}
		expect.OK(t, p.Sane())
	}
}

func TestCompose_StockConsulLockAndWatch(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	expect.OK(t, k.Redis[1].Is("role", "master"))
	w, err := k.Script("watch", 1, "exec consul watch -type=service -service="+k.Name+"-master 'resec replicate'")
	expect.OK(t, err)
	_, err = k.Redis[0].Do("REPLICAOF", "127.0.0.1", "1")
	expect.OK(t, err)
	l, err := k.Script("lock", 0, "exec consul lock "+k.Name+" 'resec promote && echo promoted && sleep 1000'")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return l.Said("promoted") })
	expect.OK(t, k.Redis[0].IsMaster(0))
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	var r handlers.Result
	out, _, code, err := k.Run(0, "", "promote")
	expect.OK(t, err)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Role != "master" || r.Changed {
		t.Errorf("promote again: exit %d, %s: %v", code, out, err)
	}
	_, _ = w.Stop(syscall.SIGINT)
	_, _ = l.Stop(syscall.SIGTERM)
}
