package commands

import (
	"context"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/follow"
	"resec/handlers"
	"resec/handlers/redis"
)

func (p *program) follow() *cli.Command {
	var shell bool
	var limit handlerTimeout
	extra := []setting{
		toggle(&shell, "shell", "true", "run the handler with /bin/sh -c"),
		limit.setting("for a newer event it is ended after 10s"),
	}
	return p.command("follow", "[handler...]",
		"watch the master service, and make Redis replicate from it on each change (mirrors consul watch)",
		forConsul|forRedis|forCluster|forService, extra, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			return p.runFollow(c, cfg, log, shell, limit.limit(false))
		})
}

// killGrace is the time from SIGTERM to SIGKILL for a handler of `follow`, as under `consul lock`. stopGrace is that time once
// `follow` itself is asked to stop. It is needed twice at most, for a handler and for what earlier ones left running.
const killGrace, stopGrace = 5 * time.Second, 1500 * time.Millisecond

const _ = uint(5*time.Second - 3*stopGrace) // Nomad kills after 5 s

func (p *program) runFollow(c *cli.Context, cfg *config, log *slog.Logger, shell bool, limit time.Duration) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	me, err := cfg.identify(c.Context, client, log)
	if err != nil {
		return err
	}
	f := follow.Follower{Client: client, Naming: cfg.naming, LockKey: cfg.lockKey, Member: me.ID, Timeout: limit, Log: log}
	if c.Args().Present() {
		cfg.warnWithheld()
		out, err := p.queuedOutput(log)
		if err != nil {
			return err
		}
		defer out.close()
		h := external(c, shell, func() time.Duration {
			if c.Context.Err() != nil {
				return stopGrace
			}
			return killGrace
		}, out)
		h.Slow = logSlow(log, limit)
		defer h.End()
		f.Handler = h
		return f.Run(c.Context)
	}
	server, err := redis.Open(c.Context, cfg.redis(me.ID).WithIdlePing())
	if err != nil {
		return err
	}
	defer server.Close()
	f.Redis, f.Probe = server, cfg.probe()
	f.Replicate = func(ctx context.Context, master handlers.Target) error {
		res, err := handlers.Replicate(ctx, server, master, cfg.redis(me.ID))
		if err == nil && res.Changed {
			log.Info("replicating from the master", "event", "replicating", "master", res.Master)
		}
		return err
	}
	return f.Run(c.Context)
}
