package commands

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/agent"
	"resec/commands/cluster"
	"resec/commands/httpapi"
	"resec/commands/lock"
	"resec/commands/metrics"
	"resec/commands/systemd"
)

// How an agent starts, and what its rooms and goroutines do, is in agent/README.md.

const agentGroups = forConsul | forRedis | forCluster | forElect | forService | forAgent | forEndpoint

func (p *program) agent() *cli.Command {
	return p.command("agent", "",
		"run health checks, registration, election and replication for one Redis, in one process",
		agentGroups, nil,
		func(c *cli.Context, cfg *config, log *slog.Logger) error {
			dumpState := make(chan os.Signal, 1) // registered first, so that none is missed
			signal.Notify(dumpState, syscall.SIGUSR1)
			defer signal.Stop(dumpState)
			client, err := cfg.client()
			if err != nil {
				return err
			}
			counters, member, server, err := cfg.serveHTTP(c.Context, client, log)
			if err != nil {
				return err
			}
			defer server.Close()
			endpoint, err := cfg.openSentinel(c.Context, client, log)
			if err != nil {
				return err
			}
			defer endpoint.Close()
			me, err := cfg.identify(c.Context, client, log)
			if err != nil {
				return err
			}
			defer cfg.startSentinel(c.Context, endpoint, client, me, log)()
			if len(cfg.hooks) > 0 {
				out, err := p.queuedOutput(log)
				if err != nil {
					return err
				}
				defer out.close()
				for _, h := range cfg.hooks {
					h.Command.Stdout, h.Command.Stderr = out.stdout, out.stderr
				}
			}
			a := cfg.newAgent(client, me, counters, log)
			a.DumpState = dumpState
			member.SetReporter(a.Report)
			for _, variable := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
				if err := os.Unsetenv(variable); err != nil { // hooks must not notify systemd in our name
					return err
				}
			}
			return a.Run(c.Context)
		})
}

// newAgent makes the agent of a member. counters may be nil.
func (c *config) newAgent(client *api.Client, me cluster.Master, counters *metrics.Metrics, log *slog.Logger) *agent.Agent {
	registrar := c.registrar(client, me, log)
	a := &agent.Agent{
		Lock:            c.lock(client, me.ID),
		Session:         lock.SessionOptions{Name: c.sessionName, TTL: c.lockTTL, Check: registrar.CheckID()},
		Me:              me,
		Registrar:       registrar,
		Creds:           c.redis(me.ID),
		Probe:           c.probe(),
		Guard:           c.guardPolicy,
		EarlyTakeover:   c.early,
		BootstrapExpect: c.expect,
		Metrics:         counters,
		Hooks:           c.hooks,
		NotifySocket:    os.Getenv("NOTIFY_SOCKET"),
		Watchdog:        systemd.WatchdogInterval(os.Getpid()),
		Log:             log,
	}
	if counters != nil {
		a.Creds.Counters = counters
	}
	return a
}

// serveHTTP starts the HTTP endpoint and the counters that it shows. All are nil if LISTEN_ADDR is empty.
// It returns an error if the address cannot be bound.
func (c *config) serveHTTP(ctx context.Context, client *api.Client, log *slog.Logger) (*metrics.Metrics, *httpapi.Member,
	*httpapi.Server, error) {
	if c.listen == "" {
		return nil, nil, nil, nil
	}
	counters := metrics.New()
	c.count(counters.ConsulError)
	report := func(ctx context.Context) (any, error) { return c.report(ctx, client) }
	member := httpapi.NewMember(counters, report, log)
	server, err := httpapi.Listen(ctx, c.listen, member.Endpoints, log)
	return counters, member, server, err
}
