package stories_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"resec/scripts/lab"
)

// CONFIG REWRITE has put our guard, and the roles of that moment, into the configuration files. A guard that comes back from there is
// ours: it is undercut when the replicas are gone, and it is not left behind. A Redis that was not started parked is warned of.
func TestLife18_ConfigRewrite(t *testing.T) {
	t.Parallel()
	for _, reboot := range []bool{false, true} {
		t.Run("its agent restarts, too: "+fmt.Sprint(reboot), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, ConfigFile: true})
			m := started(t, k)
			rest := others(k, m)
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			if out, _, _, err := k.Run(m, "", "status"); err != nil || strings.Contains(out, "warning:") {
				t.Errorf("started parked: %v\n%s", err, out)
			}
			lab.Eventually(t, patience, func() error { // the guard is lowered for a moment if a replica lags
				for _, r := range k.Redis {
					do(t, r, "CONFIG", "REWRITE")
				}
				file, err := os.ReadFile(strings.TrimSuffix(k.Redis[m].Log, ".log") + ".conf")
				if err == nil && !strings.Contains(string(file), "min-replicas-to-write 1\n") {
					err = fmt.Errorf("the master's configuration file has not its guard:\n%s", file)
				}
				return err
			})
			if reboot {
				if code, err := k.Agents[m].Stop(syscall.SIGTERM); err != nil || code != 0 {
					t.Fatalf("the agent ended with %d: %v", code, err)
				}
			}
			k.Redis[m].Kill()
			ok(t, k.Redis[m].Restart())
			if reboot {
				ok(t, k.Agent(m))
			}
			whole(t, k)
			lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=started_as_master ") })
			command(t, k, "switchover", "-to", fmt.Sprint("m", m))
			whole(t, k)
			leads(t, k, m)
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			warned(t, k, fmt.Sprintf("warning: m%d: redis came up as a master", m))

			replica := rest[0]
			k.Redis[replica].Kill()
			ok(t, k.Redis[replica].Restart())
			whole(t, k)
			lab.Eventually(t, patience, func() error { return k.Agents[replica].Said("event=started_as_replica ") })
			warned(t, k, fmt.Sprintf("warning: m%d: redis came up as a replica of ", replica))

			kill(k.Redis[rest[0]].Process, k.Redis[rest[1]].Process)
			lab.Eventually(t, patience, func() error { _, err := k.Redis[m].Do("SET", "alone", "1"); return err })
			ok(t, k.Stop())
			left(t, k.Redis[m], 0, 10)
		})
	}
}

// warned waits until status says so.
func warned(t *testing.T, k *lab.Cluster, text string) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		out, _, _, err := k.Run(0, "", "status")
		if err == nil && !strings.Contains(out, text) {
			err = errors.New("status does not say " + text + ":\n" + out)
		}
		return err
	})
}
