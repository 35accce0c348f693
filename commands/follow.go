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
	extra := []setting{toggle(&shell, "shell", "true", "run the handler by /bin/sh -c")}
	return p.command("follow", "[handler...]", "watch the master service; on each change Redis is made to follow it (mirrors consul watch)",
		forConsul|forRedis|forCluster|forService, extra, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			return p.runFollow(c, cfg, log, shell)
		})
}

func (p *program) runFollow(c *cli.Context, cfg *config, log *slog.Logger, shell bool) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	me, err := cfg.identify(c.Context, client, log)
	if err != nil || c.Context.Err() != nil {
		return err
	}
	f := follow.Follower{Client: client, Naming: cfg.naming, LockKey: cfg.lockKey, Member: me.ID, Log: log}
	if c.Args().Present() {
		cfg.warnWithheld()
		h := p.external(c, shell, func() time.Duration { return killGrace })
		defer h.End()
		f.Handler = h
		return f.Run(c.Context)
	}
	server, err := redis.Open(c.Context, cfg.redis(me.ID).WithIdlePing())
	if err != nil {
		return err
	}
	defer server.Close()
	f.Redis, f.Probe = server, redis.Probe{Every: cfg.interval, Timeout: cfg.timeout, Failures: cfg.failures}
	f.Replicate = func(ctx context.Context, to handlers.Target) error {
		res, err := handlers.Replicate(ctx, server, to, cfg.redis(me.ID))
		if err == nil && res.Changed {
			log.Info("following", "addr", res.Master)
		}
		return err
	}
	return f.Run(c.Context)
}
