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
	"resec/commands/httpapi"
	"resec/commands/lock"
	"resec/commands/metrics"
	"resec/handlers/redis"
)

const agentGroups = forConsul | forRedis | forCluster | forElect | forService | forAgent

func (p *program) agent() *cli.Command {
	return p.command("agent", "", "health, registration, elect and follow in one process, beside one Redis", agentGroups, nil,
		func(c *cli.Context, cfg *config, log *slog.Logger) error {
			ask := make(chan os.Signal, 1) // from here on, or it would end us
			signal.Notify(ask, syscall.SIGUSR1)
			defer signal.Stop(ask)
			client, err := cfg.client()
			if err != nil {
				return err
			}
			m, server, err := cfg.answer(c.Context, client, log)
			if err != nil {
				return err
			}
			defer server.Close()
			me, err := cfg.identify(c.Context, client, log)
			if err != nil || c.Context.Err() != nil {
				return err
			}
			for _, h := range cfg.hooks {
				h.Command.Stdout, h.Command.Stderr = p.stdout, p.stderr
			}
			registrar := cfg.registrar(client, me.ServiceID, log)
			a := agent.Agent{
				Lock:          lock.Lock{Client: client, Key: cfg.lockKey, Member: me.ID, LastKnown: &lock.LastKnownState{}},
				Session:       lock.SessionOptions{Name: cfg.sessionName, TTL: cfg.lockTTL, Check: registrar.CheckID()},
				Me:            me,
				Registrar:     registrar,
				Creds:         cfg.redis(me.ID),
				Probe:         redis.Probe{Every: cfg.interval, Timeout: cfg.timeout, Failures: cfg.failures},
				Guard:         cfg.guardPolicy,
				EarlyTakeover: cfg.early,
				Metrics:       m,
				Hooks:         cfg.hooks,
				DumpState:     ask,
				NotifySocket:  os.Getenv("NOTIFY_SOCKET"),
				Log:           log,
			}
			if m != nil {
				a.Creds.Counters = m
			}
			server.SetReporter(a.Report)
			if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil { // a hook is not to speak for us
				return err
			}
			return a.Run(c.Context)
		})
}

// answer begins to answer who asks by HTTP, and to count for them; both are nil where nobody is to be answered.
func (c *config) answer(ctx context.Context, client *api.Client, log *slog.Logger) (*metrics.Metrics, *httpapi.Server, error) {
	if c.listen == "" {
		return nil, nil, nil
	}
	m := metrics.New()
	c.count(m.ConsulError)
	server, err := httpapi.Listen(ctx, c.listen, m, func(ctx context.Context) (any, error) { return c.report(ctx, client) }, log)
	return m, server, err
}
