package stories_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// With WatchdogSec, systemd hears from a master's agent and from a replica's in time, also while it takes over; a hook has no part
// in that.
func TestLife15_Watchdog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{"ON_PROMOTE=env >" + dir + "/env.$MEMBER_ID"}})
	var managers []*systemd
	for i := range k.Redis {
		s := manager(t)
		managers = append(managers, s)
		ok(t, k.Agent(i, "NOTIFY_SOCKET="+s.socket, "WATCHDOG_USEC=1000000"))
	}
	m := started(t, k)
	fed := func() {
		t.Helper()
		for _, s := range managers {
			at, err := s.hears(0, "READY=1")
			ok(t, err)
			s.mu.Lock()
			at = max(at, len(s.lines)-1) // from now on
			s.mu.Unlock()
			for range 4 {
				lab.Eventually(t, patience, func() (err error) {
					next, err := s.hears(at+1, "WATCHDOG=1")
					if err == nil {
						at = next
					}
					return err
				})
			}
		}
	}
	fed()
	k.Redis[m].Kill()
	succeededBy(t, k, m)
	ok(t, k.Redis[m].Start())
	whole(t, k)
	fed()
	lab.Eventually(t, patience, func() error {
		env, err := os.ReadFile(filepath.Join(dir, "env.m0"))
		if err != nil {
			env, err = os.ReadFile(filepath.Join(dir, "env.m1"))
		}
		if err == nil && strings.Contains(string(env), "WATCHDOG_") {
			t.Fatalf("the hook has systemd's watchdog:\n%s", env)
		}
		return err
	})
	for _, a := range k.Agents {
		if says(a, "event=watchdog_not_fed") > 0 {
			t.Errorf("%s did not feed the watchdog", a.Name)
		}
	}
	ok(t, k.Stop())
}
