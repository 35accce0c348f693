package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Cluster is n Redis servers with an agent each, on one Consul.
type Cluster struct {
	*Lab
	Plan    Plan
	Consul  *Consul   // that of the plan, or the first of Servers
	Servers []*Consul // its own
	Clients []*Consul // the Consul client agent of each member; empty without
	Name    string    // prefix of its services, and of its lock's key
	Redis   []*Redis
	Agents  []*Process
	Env     []string // of every agent

	Net   *Network   // nil without
	Hosts []*NetHost // of each member; nil ones without a network
	Here  *NetHost   // the host of the cluster's clients

	members map[int]Member
	gone    map[int]bool
	watches []*Watch
	asked   atomic.Uint32 // which Consul server answered last
}

// Quick are timings with which a test need not wait long: a session lives 6 s, a check 2 s.
var Quick = []string{"HEALTHCHECK_INTERVAL=1s", "HEALTHCHECK_TIMEOUT=500ms", "CONSUL_LOCK_TTL=3s", "LOG_LEVEL=DEBUG"}

// NewCluster starts n Redis servers; the agents are started by Agent or Go.
func (l *Lab) NewCluster(c *Consul, name string, n int, redisArgs ...string) (*Cluster, error) {
	return l.NewPlanned(Plan{Name: name, Members: n, Consul: c, RedisArgs: redisArgs})
}

// RedisEnv is the environment of a resec process for the i-th Redis and its Consul agent.
func (k *Cluster) RedisEnv(i int) []string {
	env := []string{"REDIS_ADDR=" + k.Redis[i].Addr, "ANNOUNCE_ADDR=" + k.Redis[i].Addr, "MEMBER_ID=" + k.id(i)}
	if c := k.Beside(i); c != k.Consul {
		env = append(env, "CONSUL_HTTP_ADDR="+c.HTTP())
	}
	if k.Plan.Sentinel {
		env = append(env, "SENTINEL_ADDR="+k.SentinelAddr(i), "SENTINEL_MASTER="+k.Name)
	}
	return append(env, k.members[i].Env...)
}

// in is a command line that runs on the host of the i-th member.
func (k *Cluster) in(i int, args ...string) []string {
	return k.Redis[i].Net.In(args...)
}

// Resec starts the program on the host of the i-th Redis, with a subcommand and its arguments.
func (k *Cluster) Resec(name string, i int, args ...string) (*Process, error) {
	p, err := k.resec(name, i, args...)
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

// program is the path of the resec that this cluster runs.
func (k *Cluster) program() (string, error) {
	if k.Plan.Program != "" {
		return k.Plan.Program, nil
	}
	return Resec()
}

func (k *Cluster) resec(name string, i int, args ...string) (*Process, error) {
	bin, err := k.program()
	if err != nil {
		return nil, err
	}
	return k.process(name, slices.Concat(k.Env, k.RedisEnv(i)), k.in(i, append([]string{bin}, args...)...)), nil
}

// Agent starts the i-th agent; the variables given are in its environment for this time only.
func (k *Cluster) Agent(i int, env ...string) error {
	if k.Agents[i] == nil {
		p, err := k.resec(fmt.Sprintf("%s-agent%d", k.Name, i), i, "agent")
		if err != nil {
			return err
		}
		k.Agents[i] = p
	}
	return k.Agents[i].Start(env...)
}

// Go starts every agent, and waits until the cluster has settled.
func (k *Cluster) Go() error {
	for i := range k.Redis {
		if k.gone[i] {
			continue
		}
		if err := k.Agent(i); err != nil {
			return err
		}
	}
	return k.Settled(20 * time.Second)
}

// Stop stops every agent by SIGTERM and returns what went wrong: exit codes, races, panics.
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

// Run runs the program on the host of the i-th Redis until it ends, and returns its output and exit code.
func (k *Cluster) Run(i int, stdin string, args ...string) (stdout, stderr string, code int, err error) {
	bin, err := k.program()
	if err != nil {
		return "", "", 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	line := k.in(i, append([]string{bin}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
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

// Script starts a shell on the host of the i-th Redis, with resec and consul on its PATH.
func (k *Cluster) Script(name string, i int, script string) (*Process, error) {
	bin, err := k.program()
	if err != nil {
		return nil, err
	}
	consul, err := Need("consul")
	if err != nil {
		return nil, err
	}
	path := "PATH=" + filepath.Dir(bin) + ":" + filepath.Dir(consul) + ":" + os.Getenv("PATH")
	return k.Start(name, slices.Concat([]string{path}, k.Env, k.RedisEnv(i)), k.in(i, "/bin/sh", "-c", script)...)
}
