package stories_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The `follow` handler points HAProxy at the master, and a client that knows only HAProxy survives failovers.
func TestDeploy07_HAProxyFollows(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"haproxy", "jq"} {
		_, err := lab.Need(what)
		ok(t, err)
	}
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	dir := t.TempDir()
	config, backend, pid := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "redis-master.cfg"), filepath.Join(dir, "pid")
	addr := net.JoinHostPort(lab.Host(), "6379")
	ok(t, os.WriteFile(config, []byte(strings.Join([]string{"global", "  hard-stop-after 1s", "defaults", "  mode tcp", "  timeout connect 1s",
		"  timeout client 1m", "  timeout server 1m", "frontend redis", "  bind " + addr, "  default_backend redis-master"}, "\n")+"\n"), 0o644))
	ok(t, os.WriteFile(backend, []byte("backend redis-master\n  mode tcp\n"), 0o644))
	h, err := k.Start(k.Name+"-haproxy", nil, "haproxy", "-W", "-db", "-p", pid, "-f", config, "-f", backend)
	ok(t, err)
	k.Env = append(k.Env, "HAPROXY_CONFIG="+config, "HAPROXY_BACKEND="+backend, fmt.Sprintf("HAPROXY_RELOAD=test -e %s/again || { touch %s/again; exit 1; }; kill -USR2 %d", dir, dir, h.PID())) // the first fails
	f, err := k.Resec(k.Name+"-follow", 0, "follow", "-member-id", "haproxy", deploy("haproxy-follow"))
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", h.Output(), f.Output())
		}
	})
	w := lab.Writing{Find: func(context.Context) (string, error) { return addr, nil }, Pace: 5 * time.Millisecond}.Start(t.Context())
	defer w.Stop()
	arrive := func(m int) {
		t.Helper()
		run, err := k.Redis[m].Info("run_id")
		ok(t, err)
		lab.Eventually(t, patience, func() error {
			got, err := runBehind(t.Context(), addr)
			if err == nil && got != run {
				err = fmt.Errorf("a client gets to run %s, and the master is %s", got, run)
			}
			return err
		})
		n := w.Acked()
		lab.Eventually(t, patience, func() error { return w.Wrote(n + 100) })
	}
	arrive(m)
	switched(t, k)
	whole(t, k)
	m, err = k.Master()
	ok(t, err)
	arrive(m)
	if lost, err := w.LostOn(k.Redis[m]); err != nil || len(lost) > 0 {
		t.Errorf("%d writes were lost by a switchover: %v", len(lost), err)
	}
	k.Redis[m].Kill()
	arrive(succeededBy(t, k, m))
}

// Anybody may write to the catalogue: only an address and a port of it reach HAProxy's configuration, and nothing of it is run.
func TestDeploy07_HAProxyIsNotToldAnything(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"haproxy", "jq"} {
		_, err := lab.Need(what)
		ok(t, err)
	}
	dir := t.TempDir()
	config, backend := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "backend.cfg")
	ok(t, os.WriteFile(config, []byte("defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend redis\n  bind "+
		net.JoinHostPort(lab.Host(), "6379")+"\n  default_backend redis-master\n"), 0o644))
	last := ""
	handle := func(master, entries string) {
		t.Helper()
		p, err := lab.ForTest(t).Start("handler", []string{"HAPROXY_CONFIG=" + config, "HAPROXY_BACKEND=" + backend, "HAPROXY_RELOAD=true", "RESEC_MASTER=" + master},
			"sh", "-c", `printf '%s' "$1" | `+deploy("haproxy-follow"), "sh", entries)
		ok(t, err)
		lab.Eventually(t, patience, func() error {
			if p.Running() {
				return fmt.Errorf("it runs")
			}
			return nil
		})
		got, err := os.ReadFile(backend)
		ok(t, err)
		if string(got) != "backend redis-master\n  mode tcp\n"+last {
			t.Errorf("for %s the backend is\n%s%s", entries, got, p.Output())
		}
	}
	for host, want := range map[string]string{
		"10.0.0.3\n": "", "10.0.0.1": "  server master 10.0.0.1:6379 init-addr last,libc,none\n", "::1": "  server master [::1]:6379 init-addr last,libc,none\n", "localhost": "  server master localhost:6379 init-addr last,libc,none\n",
		"$(touch " + dir + "/ran)": "", "`touch " + dir + "/ran`": "", "10.0.0.1:1 backup\n  server evil 10.0.0.2": "", "a b": "", "": "",
	} {
		entry := fmt.Sprintf(`[{"Node":{"Node":"n","Address":""},"Service":{"ID":"s","Address":%q,"Port":6379,"Meta":{"term":"2"}},"Checks":[{"Status":"passing"}]},
			{"Node":{},"Service":{"Address":"10.9.9.9","Port":6379,"Meta":{"term":"9"}},"Checks":[{"Status":"critical"}]}]`, host)
		if want != "" { // without a master it stays as it was
			last = want
		}
		handle("", entry)
	}
	last = "  server master 10.0.0.7:6379 init-addr last,libc,none\n"
	handle("10.0.0.7:6379", `[{"Service":{"Address":"6.6.6.6","Port":6379,"Meta":{"term":"999"}},"Checks":[{"Status":"passing"}]},
		{"Service":{"Address":"10.0.0.7","Port":6379,"Meta":{"term":"3"}},"Checks":[{"Status":"passing"}]}]`)
	handle("10.0.0.7:6379", `[{"Service":{"Address":"6.6.6.6","Port":6379,"Meta":{"term":"999"}},"Checks":[{"Status":"passing"}]}]`)
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("an address was run by a shell")
	}
}

// The clients of the examples write to the master, before and after a failover.
func TestDeploy08_Clients(t *testing.T) {
	t.Parallel()
	_, err := lab.Need("dig")
	ok(t, err)
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	bin := filepath.Join(t.TempDir(), "client")
	tool(t, lab.Root(), "go", "build", "-o", bin, "./scripts/deploy/clients/go")
	service := k.Name + "-master"
	client, err := k.Start(k.Name+"-client", nil, bin, "-dns", k.Consul.Host+":8600", "-service", service)
	ok(t, err)
	writes := func(m int) {
		t.Helper()
		run, err := k.Redis[m].Info("run_id")
		ok(t, err)
		out := tool(t, "/", "env", "CONSUL_DNS="+k.Consul.Host+":8600", "REDIS_SERVICE="+service, deploy("clients/redis-cli"), "INFO", "server")
		if !strings.Contains(out, "run_id:"+run) {
			t.Errorf("redis-cli got to\n%s", out)
		}
		at := len(client.Output())
		lab.Eventually(t, patience, func() error {
			if !strings.Contains(client.Output()[at:], "\n"+k.Redis[m].Addr+" has ") {
				return fmt.Errorf("the client has not written to %s:\n%s", k.Redis[m].Addr, client.Output()[at:])
			}
			return nil
		})
	}
	writes(m)
	k.Redis[m].Kill()
	writes(succeededBy(t, k, m))
}

// The old program's unit file, compose file and Nomad job have no subcommand, and three variables.
func TestDeploy09_TheOldProgramsVariables(t *testing.T) {
	t.Parallel()
	d := newDeployed(t)
	bin, err := lab.Resec()
	ok(t, err)
	for i := range 2 {
		r, err := d.StartRedis(fmt.Sprint("redis", i))
		ok(t, err)
		a, err := d.Start(fmt.Sprint("resec", i), []string{"CONSUL_HTTP_ADDR=" + d.consul.HTTP(), "REDIS_ADDR=" + r.Addr, "ANNOUNCE_ADDR=" + r.Addr}, bin)
		ok(t, err)
		d.redis, d.agents = append(d.redis, r), append(d.agents, a)
	}
	d.settled(t)
	d.agents[0].Signal(syscall.SIGQUIT) // as its unit file says
	lab.Eventually(t, patience, func() error {
		if d.agents[0].Running() {
			return fmt.Errorf("it runs")
		}
		return nil
	})
	lab.Eventually(t, patience, func() error {
		addr, err := d.find(t.Context())
		if err == nil && addr != d.redis[1].Addr {
			err = fmt.Errorf("the master is at %s", addr)
		}
		return err
	})
}
