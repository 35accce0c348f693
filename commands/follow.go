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
	extra := []setting{toggle(&shell, "shell", "true", "run the handler with /bin/sh -c")}
	return p.command("follow", "[handler...]",
		"watch the master service, and make Redis replicate from it on each change (mirrors consul watch)",
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
	if err != nil {
		return err
	}
	f := follow.Follower{Client: client, Naming: cfg.naming, LockKey: cfg.lockKey, Member: me.ID, Log: log}
	if c.Args().Present() {
		cfg.warnWithheld()
		out, err := p.queuedOutput(log)
		if err != nil {
			return err
		}
		defer out.close()
		h := external(c, shell, func() time.Duration { return killGrace }, out)
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
