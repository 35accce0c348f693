package stories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// deploy is the folder of the deployment examples.
func deploy(file string) string { return filepath.Join(lab.Root(), "scripts", "deploy", file) }

// task is one process of an example, as scripts/tools/examples prints it.
type task struct {
	Name, Wait string
	Args       []string
	Env        map[string]string
	Lead       bool
}

// environ is its environment, with the placeholders of hosts replaced.
func (p task) environ(hosts *strings.Replacer) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(p.Env)) {
		out = append(out, k+"="+hosts.Replace(p.Env[k]))
	}
	return out
}

// example is what an example says, as its own tool reads it.
func example(t *testing.T, into any, args ...string) {
	t.Helper()
	bin, err := lab.Need("examples")
	ok(t, err)
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	ok(t, err)
	ok(t, json.Unmarshal(out, into))
}

// tool runs a program that must succeed, and returns what it wrote.
func tool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// deployed is a cluster whose processes an example starts: it knows their Redis servers and agents, and starts none itself.
type deployed struct {
	*lab.Lab
	consul *lab.Consul
	redis  []*lab.Redis
	agents []*lab.Process
}

func newDeployed(t *testing.T) *deployed {
	t.Helper()
	d := &deployed{Lab: lab.ForTest(t)}
	var err error
	d.consul, err = d.StartConsul("consul", nil)
	ok(t, err)
	t.Cleanup(func() {
		for _, a := range d.agents {
			if t.Failed() {
				t.Logf("%s:\n%s", a.Name, a.Output())
			}
		}
	})
	return d
}

// server starts a Redis with the arguments of an example, which begin with the program, on a host of its own.
func (d *deployed) server(t *testing.T, name, addr string, args []string) *lab.Redis {
	t.Helper()
	if !strings.HasSuffix(args[0], "redis-server") {
		t.Fatalf("%s runs %s", name, args)
	}
	r, err := d.StartRedisAt(name, addr, args[1:]...)
	ok(t, err)
	return r
}

// find is the master by Consul's DNS.
func (d *deployed) find(ctx context.Context) (string, error) {
	return d.consul.Lookup(ctx, "redis-master")
}

// settled waits until Consul's DNS names the one master, all others replicate from it, and are recorded: fit to be the next.
func (d *deployed) settled(t *testing.T) (m int) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		addr, err := d.find(t.Context())
		if err != nil {
			return err
		}
		m = slices.IndexFunc(d.redis, func(r *lab.Redis) bool { return r.Addr == addr })
		if m < 0 {
			return fmt.Errorf("the master is at %s", addr)
		}
		others := 0
		for i, r := range d.redis {
			if i == m || !r.Running() {
				continue
			}
			if err := r.Follows(d.redis[m]); err != nil {
				return err
			}
			others++
		}
		return d.redis[m].IsMaster(others)
	})
	bin, err := lab.Resec()
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		if out, err := exec.CommandContext(t.Context(), bin, "status", "-http-addr", d.consul.HTTP()).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return m
}

// The compose file is loaded by Docker Compose's own library, and its processes run: the names of services are hosts.
func TestDeploy01_Compose(t *testing.T) {
	t.Parallel()
	var all []task
	example(t, &all, "compose", deploy("docker-compose.yml"))
	d := newDeployed(t)
	hosts := []string{"consul:8500", d.consul.HTTP()}
	for _, p := range all {
		if strings.HasPrefix(p.Name, "redis") {
			addr := lab.Host() + ":6379"
			hosts = append(hosts, p.Name+":6379", addr)
			d.redis = append(d.redis, d.server(t, p.Name, addr, p.Args))
		}
	}
	bin, err := lab.Resec()
	ok(t, err)
	for _, p := range all {
		if strings.HasPrefix(p.Name, "resec") {
			a, err := d.Start(p.Name, p.environ(strings.NewReplacer(hosts...)), bin, "agent")
			ok(t, err)
			d.agents = append(d.agents, a)
		}
	}
	if len(d.redis) != 3 || len(d.agents) != 3 {
		t.Fatalf("%d redis, %d agents", len(d.redis), len(d.agents))
	}
	m := d.settled(t)
	d.redis[m].Kill()
	lab.Eventually(t, patience, func() error {
		addr, err := d.find(t.Context())
		if err == nil && addr == d.redis[m].Addr {
			err = fmt.Errorf("it is still %s", addr)
		}
		return err
	})
	ok(t, d.redis[m].Restart())
	d.settled(t)
}

// The Nomad job's tasks run, with the variables of three allocations, and are replaced one after the other as its update
// says: the leader is stopped first, and the next follows once /health answers 200. The cluster keeps its data only in
// memory.
func TestDeploy02_Nomad(t *testing.T) {
	t.Parallel()
	d := newDeployed(t)
	bin, err := lab.Resec()
	ok(t, err)
	health := make([]string, 3)
	stored := keys{prefix: "stored", n: 1000}
	place := func(i, version int) {
		host := lab.Host()
		var tasks []task
		example(t, &tasks, "nomad", deploy("redis.nomad.hcl"), "NOMAD_PORT_redis=23456", "NOMAD_ADDR_health="+net.JoinHostPort(host, "28280"), "NOMAD_ADDR_redis="+net.JoinHostPort(host, "23456"),
			"NOMAD_ALLOC_DIR="+t.TempDir(), fmt.Sprint("NOMAD_ALLOC_NAME=redis.redis[", i, "]"))
		name := fmt.Sprintf("alloc%d-%d", i, version)
		for _, p := range tasks {
			if p.Name == "redis" {
				args := slices.Clone(p.Args)
				at := slices.Index(args, "--dir")
				r := d.server(t, name+"-redis", net.JoinHostPort(host, "23456"), slices.Delete(args, at, at+2)) // the lab has its own
				if version == 0 {
					d.redis = append(d.redis, r)
				} else {
					d.redis[i] = r
				}
				continue
			}
			if !p.Lead || p.Wait == "" {
				t.Fatalf("the agent is to be stopped first, and given time: %+v", p)
			}
			health[i] = p.Env["LISTEN_ADDR"]
			a, err := d.Start(name+"-resec", p.environ(strings.NewReplacer("127.0.0.1:8500", d.consul.HTTP())), append([]string{bin}, p.Args[1:]...)...)
			ok(t, err)
			d.agents = append(d.agents, a)
			if version > 0 {
				d.agents[i] = a
			}
		}
		lab.Eventually(t, patience, func() error {
			code, body, err := answer(t.Context(), "GET", health[i], "/health")
			if err == nil && code != 200 {
				err = fmt.Errorf("%s: %d %s", name, code, body)
			}
			return err
		})
	}
	for i := range 3 {
		place(i, 0)
	}
	m := d.settled(t)
	ok(t, stored.write(d.redis[m]))
	w := lab.StartWriter(t.Context(), d.find)
	defer w.Stop()
	for i := range 3 {
		terminate(t, map[*lab.Process]time.Duration{d.agents[i]: 0})
		terminate(t, map[*lab.Process]time.Duration{d.redis[i].Process: 0})
		place(i, 1)
	}
	m = d.settled(t)
	w.Stop()
	lost, err := w.LostOn(d.redis[m])
	if err != nil || len(lost) > 0 {
		t.Errorf("%d of %d writes are lost: %v", len(lost), w.Acked(), err)
	}
	ok(t, stored.on(d.redis[m]))
}

// BuildKit's own parser reads the Dockerfile; its build command makes a static program, which runs as nobody in an empty folder.
func TestDeploy03_Dockerfile(t *testing.T) {
	t.Parallel()
	var stages [][]string
	example(t, &stages, "dockerfile", deploy("Dockerfile"))
	last := strings.Join(stages[len(stages)-1], "\n")
	if len(stages) != 2 || !strings.HasPrefix(last, "FROM scratch\n") || !strings.Contains(last, "65534:65534") || !strings.Contains(last, "/resec") {
		t.Fatalf("the last of %d stages is\n%s", len(stages), last)
	}
	root := t.TempDir()
	ok(t, os.Chmod(root, 0o755))
	built := false
	for _, line := range stages[0] {
		if build, is := strings.CutPrefix(line, "RUN "); is {
			tool(t, lab.Root(), "sh", "-c", strings.ReplaceAll(build, "/resec", filepath.Join(root, "resec")))
			built = true
		}
	}
	if !built {
		t.Fatalf("nothing is built in\n%s", stages[0])
	}
	k := cluster(t, 1)
	env := append(slices.Clone(k.Env), k.RedisEnv(0)...)
	p, err := k.Start(k.Name+"-contained", env, "chroot", "--userspec=65534:65534", root, "/resec", "agent")
	ok(t, err)
	published(t, k, 0)
	terminate(t, map[*lab.Process]time.Duration{p: 0})
}

// systemd itself reads the unit, and says how exposed it is.
func TestDeploy04_Systemd(t *testing.T) {
	t.Parallel()
	_, err := lab.Need("systemd")
	ok(t, err)
	bin, err := lab.Resec()
	ok(t, err)
	unit, err := os.ReadFile(deploy("resec.service"))
	ok(t, err)
	file := filepath.Join(t.TempDir(), "resec.service")
	ok(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(unit), "/usr/local/bin/resec", bin)), 0o644))
	if out := tool(t, "/", "systemd-analyze", "verify", file); strings.Contains(out, "resec.service:") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	tool(t, "/", "systemd-analyze", "security", "--offline=true", "--threshold=20", file)
	p, err := lab.ForTest(t).Start("help", nil, "sh", "-c", "set -a; . "+deploy("resec.env")+"; exec "+bin+" agent -log-level DEBUG -http-addr 127.0.0.1:1")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return p.Said("cannot read the node name from the consul agent") }) // so what it says is well-formed
	p.Kill()
}

// promtool reads the alerts, and runs their tests.
func TestDeploy05_Alerts(t *testing.T) {
	t.Parallel()
	_, err := lab.Need("promtool")
	ok(t, err)
	tool(t, deploy(""), "promtool", "check", "rules", "alerts.yml")
	tool(t, deploy(""), "promtool", "test", "rules", "alerts_test.yml")
	rules, err := os.ReadFile(deploy("alerts.yml"))
	ok(t, err)
	k := cluster(t, 1)
	answeringAll(t, k)
	_, metrics, err := answer(t.Context(), "GET", web(k, 0), "/metrics")
	ok(t, err)
	for _, name := range regexp.MustCompile(`resec_\w+`).FindAllString(string(rules), -1) {
		if !strings.Contains(metrics, "\n"+name) && name != "resec_replication_behind_bytes" {
			t.Errorf("an alert asks for %s, which no agent has", name)
		}
	}
}

// The policy in the examples is that of the page on security, which TestAgent_UnderACLs uses.
func TestDeploy06_Policy(t *testing.T) {
	t.Parallel()
	policy, err := os.ReadFile(deploy("consul-policy.hcl"))
	ok(t, err)
	if string(policy) != lab.Block(t, lab.SecurityPage, "hcl policy") {
		t.Errorf("scripts/deploy/consul-policy.hcl is\n%s", policy)
	}
}
