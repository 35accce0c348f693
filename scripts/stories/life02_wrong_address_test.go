package stories_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"resec/scripts/lab"
)

// ownName runs the program on the host of the i-th member, which has the name "redis" for itself.
func ownName(t *testing.T, k *lab.Cluster, i int, name string, env []string, args ...string) *lab.Process {
	t.Helper()
	bin, err := lab.Resec()
	ok(t, err)
	hosts := filepath.Join(t.TempDir(), "hosts")
	ok(t, os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"+k.Hosts[i].Addr+" redis\n"), 0o644))
	script := "mount --bind " + hosts + " /etc/hosts && exec " + bin + " " + strings.Join(args, " ")
	p, err := k.Start(name, slices.Concat(k.Env, k.RedisEnv(i), []string{"REDIS_ADDR=redis:6379", "ANNOUNCE_ADDR="}, env),
		k.Hosts[i].In("unshare", "--mount", "/bin/sh", "-c", script)...)
	ok(t, err)
	return p
}

// All members announce a name that is each host itself. One leads; each other one finds its own Redis at the master's address, and
// says so in log, check and status, until its address is corrected.
func TestLife02_ANameThatIsEachHost(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, Servers: 1, Network: true, Clients: true, StartParked: true})
	for i := range k.Redis {
		k.Agents[i] = ownName(t, k, i, fmt.Sprint(k.Name, "-named", i), nil, "agent")
	}
	var m int
	lab.Eventually(t, patience, func() (err error) { m, err = k.Master(); return err })
	for i, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return errors.Join(a.Said("event=own_address_wrong"), a.Said("ANNOUNCE_ADDR")) })
		if i == m {
			continue
		}
		lab.Eventually(t, patience, func() error { return a.Said("event=wrong_address") })
		shown := ownName(t, k, i, fmt.Sprint(k.Name, "-status", i), nil, "status")
		if code, err := shown.Wait(t.Context()); err != nil || code != 2 {
			t.Errorf("status ended with %d: %v", code, err)
		}
		ok(t, errors.Join(shown.Said("the published master m"), shown.Said("is not to be found: wrong address"), shown.Said("ANNOUNCE_ADDR")))
		if own := strings.Count(shown.Output(), " replica "); own > 1 {
			t.Errorf("status shows one redis more than once:\n%s", shown.Output())
		}
		lab.Eventually(t, patience, func() error {
			all, err := k.Entries(k.Name+"-slave", "")
			for _, e := range all {
				for _, c := range e.Checks {
					if e.Service.Meta["id"] == fmt.Sprint("m", i) && strings.Contains(c.Output, "ANNOUNCE_ADDR") {
						return nil
					}
				}
			}
			return errors.Join(err, fmt.Errorf("no check of m%d names ANNOUNCE_ADDR", i))
		})
	}
	for i, a := range k.Agents {
		if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s left with %d: %v", a.Name, code, err)
		}
		k.Agents[i] = ownName(t, k, i, fmt.Sprint(k.Name, "-corrected", i), []string{"ANNOUNCE_ADDR=" + k.Redis[i].Addr}, "agent")
	}
	whole(t, k)
	for i := range k.Redis {
		out, stderr, code, err := k.Run(i, "", "status")
		if err != nil || code != 0 || strings.Contains(out, "wrong address") {
			t.Errorf("status of m%d: exit %d %v\n%s%s", i, code, err, out, stderr)
		}
	}
	ok(t, k.Stop())
}

// A loopback address is refused where Consul's node has another one: each host would be sent to itself.
func TestLife02_LoopbackIsRefused(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, Servers: 1, Network: true, StartParked: true})
	for _, command := range []string{"agent", "elect", "follow"} {
		for _, addr := range []string{"127.0.0.1:6379", "localhost:6379", "[::1]:6379"} {
			out, stderr, code, err := k.Run(0, "", command, "-announce-addr="+addr)
			if err != nil || code != 1 || !strings.Contains(stderr, fmt.Sprintf("invalid ANNOUNCE_ADDR %q", addr)) {
				t.Errorf("%s at %s: exit %d %v\n%s%s", command, addr, code, err, out, stderr)
			}
		}
	}
}
