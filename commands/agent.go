package commands

import (
	"log/slog"

	"github.com/urfave/cli/v2"

	"resec/commands/agent"
	"resec/commands/lock"
	"resec/handlers/redis"
)

const agentGroups = forConsul | forRedis | forCluster | forElect | forService | forAgent

func (p *program) agent() *cli.Command {
	return p.command("agent", "", "health, registration, elect and follow in one process, beside one Redis", agentGroups, nil,
		func(c *cli.Context, cfg *config, log *slog.Logger) error {
			client, err := cfg.client()
			if err != nil {
				return err
			}
			me, err := cfg.identify(c.Context, client, log)
			if err != nil || c.Context.Err() != nil {
				return err
			}
			registrar := cfg.registrar(client, me.ServiceID, log)
			a := agent.Agent{
				Lock:      lock.Lock{Client: client, Key: cfg.lockKey, Member: me.ID},
				Session:   lock.SessionOptions{Name: cfg.sessionName, TTL: cfg.lockTTL, Check: registrar.CheckID()},
				Me:        me,
				Registrar: registrar,
				Creds:     cfg.redis(me.ID),
				Probe:     redis.Probe{Every: cfg.interval, Timeout: cfg.timeout, Failures: cfg.failures},
				Guard:     cfg.guardPolicy,
				Log:       log,
			}
			return a.Run(c.Context)
		})
}
