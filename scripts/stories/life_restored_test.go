package stories_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// snapshot is what `consul snapshot save` writes.
func snapshot(t *testing.T, k *lab.Cluster) []byte {
	t.Helper()
	in, _, err := k.Consul.Client.Snapshot().Save(nil)
	ok(t, err)
	defer in.Close()
	data, err := io.ReadAll(in)
	ok(t, err)
	return data
}

// moved switches over to another member, and returns its index.
func moved(t *testing.T, k *lab.Cluster, m int) int {
	t.Helper()
	next := (m + 1) % len(k.Redis)
	switched(t, k, "-to", fmt.Sprint("m", next))
	whole(t, k)
	return next
}

// A snapshot of Consul is restored, which names an older master. The newer one stays, the catalogue names it again within a
// moment, terms only rise, and each agent that sees it says once that Consul went back.
func TestLife03_SnapshotRestored(t *testing.T) {
	t.Parallel()
	anew := func(t *testing.T, k *lab.Cluster, i int) {
		if code, err := k.Agents[i].Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Fatalf("%s left with %d %v", k.Agents[i].Name, code, err)
		}
		ok(t, k.Agent(i))
		whole(t, k)
	}
	for _, v := range []struct {
		name          string
		before, since func(*testing.T, *lab.Cluster)
		anew          bool // all agents have been stopped and started since, so that Consul does not know their sessions
	}{
		{name: "two switchovers since"},
		{name: "two switchovers and other sessions since", anew: true},
		{name: "paused then, resumed since",
			before: func(t *testing.T, k *lab.Cluster) { command(t, k, "pause", "-for", "1h"); heardOfIt(t, k) },
			since:  func(t *testing.T, k *lab.Cluster) { command(t, k, "resume") }},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
			m := started(t, k)
			if v.before != nil {
				v.before(t, k)
			}
			saved := snapshot(t, k)
			if v.since != nil {
				v.since(t, k)
			}
			for range 2 {
				m = moved(t, k, m)
				if v.anew {
					for _, i := range others(k, m) {
						anew(t, k, i)
					}
				}
			}
			was, err := stateOf(k)
			ok(t, err)
			history := command(t, k, "history")
			w := watched(t, k)
			ok(t, k.Consul.Client.Snapshot().Restore(nil, bytes.NewReader(saved)))
			from := time.Now()
			published(t, k, m)
			t.Logf("the catalogue names the master again after %s", time.Since(from))
			named := seldom(func() error {
				addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
				if err == nil && addr != k.Redis[m].Addr {
					err = fmt.Errorf("the catalogue names %s, not %s", addr, k.Redis[m].Addr)
				}
				return err
			})
			rising := seldom(func() error {
				now, err := stateOf(k)
				if err == nil && now.Master.Term < was.Master.Term {
					err = fmt.Errorf("the term is %d after %d", now.Master.Term, was.Master.Term)
				}
				return err
			})
			throughout(t, 4*time.Second, func() error { return errors.Join(named(), rising()) })
			judgement, now := judged(t, k, w)
			if now != m {
				t.Errorf("%s is the master, not %s", k.Redis[now].Name, k.Redis[m].Name)
			}
			ok(t, errors.Join(judgement.NothingLost(), judgement.NeverTwo(0), judgement.OutageWithin(2*time.Second), unfenced(k)))
			said := 0 // an agent that looks late sees what another has repaired
			for _, a := range k.Agents {
				n := strings.Count(a.Output(), "event=consul_went_back")
				if said += n; n > 1 {
					t.Errorf("%s said %d times that consul went back", a.Name, n)
				}
			}
			if said == 0 {
				t.Error("no agent said that consul went back")
			}
			if out := command(t, k, "status"); strings.Contains(out, "paused") {
				t.Errorf("it is paused again:\n%s", out)
			}
			if out := command(t, k, "history"); !strings.Contains(out, strings.TrimSpace(history)) {
				t.Errorf("the history is\n%s\ninstead of\n%s", out, history)
			}
			ok(t, k.Stop())
		})
	}
}
