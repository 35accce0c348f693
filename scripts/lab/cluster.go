package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// Cluster is n Redis servers with an agent each, on one Consul.
type Cluster struct {
	*Lab
	Consul *Consul
	Name   string // prefix of its services, and of its lock's key
	Redis  []*Redis
	Agents []*Process
	Env    []string // of every agent
}

// Quick are timings with which a test need not wait long: a session lives 6 s, a check 2 s.
var Quick = []string{"HEALTHCHECK_INTERVAL=1s", "HEALTHCHECK_TIMEOUT=500ms", "CONSUL_LOCK_TTL=3s", "LOG_LEVEL=DEBUG"}

// NewCluster starts n Redis servers; the agents are started by Agent or Go.
func (l *Lab) NewCluster(c *Consul, name string, n int, redisArgs ...string) (*Cluster, error) {
	k := &Cluster{Lab: l, Consul: c, Name: name, Agents: make([]*Process, n)}
	k.Env = append([]string{"CONSUL_HTTP_ADDR=" + c.HTTP(), "CONSUL_SERVICE_PREFIX=" + name, "CONSUL_LOCK_KEY=" + name + "/.lock"}, Quick...)
	for i := range n {
		r, err := l.StartRedis(fmt.Sprintf("%s-redis%d", name, i), redisArgs...)
		if err != nil {
			return nil, err
		}
		k.Redis = append(k.Redis, r)
	}
	return k, nil
}

// RedisEnv is what tells a resec process of the i-th Redis.
func (k *Cluster) RedisEnv(i int) []string {
	return []string{"REDIS_ADDR=" + k.Redis[i].Addr, "ANNOUNCE_ADDR=" + k.Redis[i].Addr, fmt.Sprintf("MEMBER_ID=m%d", i)}
}

// Resec starts the program beside the i-th Redis with a subcommand and its arguments.
func (k *Cluster) Resec(name string, i int, args ...string) (*Process, error) {
	bin, err := Resec()
	if err != nil {
		return nil, err
	}
	return k.Start(name, slices.Concat(k.Env, k.RedisEnv(i)), append([]string{bin}, args...)...)
}

// Agent starts the i-th agent.
func (k *Cluster) Agent(i int) (err error) {
	if k.Agents[i] != nil {
		return k.Agents[i].Start()
	}
	k.Agents[i], err = k.Resec(fmt.Sprintf("%s-agent%d", k.Name, i), i, "agent")
	return err
}

// Go starts every agent, and waits until the cluster has settled.
func (k *Cluster) Go() error {
	for i := range k.Redis {
		if err := k.Agent(i); err != nil {
			return err
		}
	}
	return k.Settled(20 * time.Second)
}

// Settled waits for one master that takes writes, every other running Redis its linked replica, and a catalogue that
// says just that.
func (k *Cluster) Settled(d time.Duration) error {
	return Until(context.Background(), d, k.settled)
}

func (k *Cluster) settled() error {
	m, err := k.Linked()
	if err != nil {
		return err
	}
	return k.catalogue(m)
}

// Linked is the index of the one master, where it takes writes and every other running Redis has received them.
func (k *Cluster) Linked() (int, error) {
	m, err := k.Master()
	if err != nil {
		return 0, err
	}
	replicas := 0
	for i, r := range k.Redis {
		if i == m || !r.Running() {
			continue
		}
		if err := r.Follows(k.Redis[m]); err != nil {
			return 0, err
		}
		replicas++
	}
	if err := k.Redis[m].IsMaster(replicas); err != nil {
		return 0, err
	}
	for _, r := range k.Redis { // a link can be up for a second after a full sync before the stream begins
		if r.Running() {
			if v, err := r.Do("GET", written); err != nil || v == "" {
				return 0, fmt.Errorf("%s has not received what its master wrote: %w", r.Name, err)
			}
		}
	}
	return m, nil
}

// catalogue returns nil where one passing master is listed, the m-th, and every other running Redis with a running
// agent as a passing replica.
func (k *Cluster) catalogue(m int) error {
	masters, err := k.Consul.Entries(k.Name+"-master", "")
	if err != nil {
		return err
	}
	if len(masters) != 1 || addr(masters[0]) != k.Redis[m].Addr || masters[0].Checks.AggregatedStatus() != api.HealthPassing {
		return fmt.Errorf("the catalogue's master is not %s: %s", k.Redis[m].Addr, list(masters))
	}
	replicas, err := k.Consul.Entries(k.Name+"-slave", "")
	if err != nil {
		return err
	}
	passing := map[string]bool{}
	for _, e := range replicas {
		passing[addr(e)] = e.Checks.AggregatedStatus() == api.HealthPassing
	}
	for i, r := range k.Redis {
		up := r.Running() && k.Agents[i] != nil && k.Agents[i].Running()
		if i != m && up && !passing[r.Addr] {
			return fmt.Errorf("the catalogue does not list %s as a passing replica: %s", r.Addr, list(replicas))
		}
	}
	return nil
}

func addr(e *api.ServiceEntry) string {
	return net.JoinHostPort(e.Service.Address, fmt.Sprint(e.Service.Port))
}

func list(entries []*api.ServiceEntry) (out []string) {
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %s %v (%s)", addr(e), e.Checks.AggregatedStatus(), e.Service.Tags, e.Checks[len(e.Checks)-1].Output))
	}
	return out
}

// Master is the index of the one running Redis that is a master.
func (k *Cluster) Master() (int, error) {
	found := -1
	for i, r := range k.Redis {
		if !r.Running() {
			continue
		}
		role, err := r.Info("role")
		switch {
		case err != nil:
			return 0, err
		case role == "master" && found >= 0:
			return 0, fmt.Errorf("%s and %s are both masters", k.Redis[found].Name, r.Name)
		case role == "master":
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("no redis of %s is a master", k.Name)
	}
	return found, nil
}

// Stop stops every agent by SIGTERM and returns what was not as it should be: exit codes, races, panics.
func (k *Cluster) Stop() error {
	for _, a := range k.Agents {
		if a == nil || !a.Running() {
			continue
		}
		if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
			return fmt.Errorf("%s left with %d: %w\n%s", a.Name, code, err, a.Output())
		}
	}
	for _, a := range k.Agents {
		if a != nil {
			if err := a.Sane(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Run runs the program beside the i-th Redis until it ends, and returns what it wrote and its exit code.
func (k *Cluster) Run(i int, stdin string, args ...string) (stdout, stderr string, code int, err error) {
	bin, err := Resec()
	if err != nil {
		return "", "", 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = slices.Concat(clean(os.Environ()), []string{quickExit}, k.Env, k.RedisEnv(i))
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), err
}

// Script starts a shell beside the i-th Redis, with resec and consul on its PATH.
func (k *Cluster) Script(name string, i int, script string) (*Process, error) {
	bin, err := Resec()
	if err != nil {
		return nil, err
	}
	consul, err := Need("consul")
	if err != nil {
		return nil, err
	}
	path := "PATH=" + filepath.Dir(bin) + ":" + filepath.Dir(consul) + ":" + os.Getenv("PATH")
	return k.Start(name, slices.Concat([]string{path}, k.Env, k.RedisEnv(i)), "/bin/sh", "-c", script)
}
