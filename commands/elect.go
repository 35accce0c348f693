package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/cluster"
	"resec/commands/elect"
	"resec/commands/lock"
	"resec/commands/place"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// electOptions are the flags of elect alone; their names are those of `consul lock`.
type electOptions struct {
	register, child, childCode, shell, verbose bool
	name                                       string
	timeout                                    time.Duration // 0: wait without limit
	handler                                    handlerTimeout
}

func (p *program) elect() *cli.Command {
	var o electOptions
	extra := []setting{
		toggle(&o.register, "register", "true", "register the master service while the lock is held"),
		toggle(&o.child, "child", "false", "hold the lock while the handler runs, as consul lock does; publish and register nothing"),
		toggle(&o.childCode, "child-exit-code", "false", "with -child: exit 2 if the child failed"),
		toggle(&o.shell, "shell", "true", "run the handler with /bin/sh -c"),
		toggle(&o.verbose, "verbose", "false", "set the log level to DEBUG"),
		{name: "name", usage: "name of the session, instead of -consul-lock-session-name", takes: "a name", set: text(&o.name)},
		{name: "timeout", takes: duration, set: orNone(positive(&o.timeout)),
			usage: "time to wait for the lock; without it there is no limit"},
		o.handler.setting("with -child there is none by default"),
	}
	return p.command("elect", "[handler...]", "contend for the lock, and promote Redis while it is held (mirrors consul lock)",
		forConsul|forRedis|forCluster|forElect|forService, extra, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			return p.runElect(c, cfg, log, o)
		})
}

func (p *program) runElect(c *cli.Context, cfg *config, log *slog.Logger, o electOptions) error {
	if o.verbose {
		cfg.logLevel = slog.LevelDebug
		log = cfg.logger(p.log)
	}
	if o.child && !c.Args().Present() {
		return errors.New("-child takes a handler")
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	began, identifyCtx := time.Now(), c.Context
	if o.timeout > 0 { // counts from the start, so that it also bounds an outage of Consul
		var cancel context.CancelFunc
		identifyCtx, cancel = context.WithTimeout(identifyCtx, o.timeout)
		defer cancel()
	}
	me, err := cfg.identify(identifyCtx, client, log)
	if errors.Is(err, context.DeadlineExceeded) {
		return coded(exitTimeout, fmt.Errorf("%w %s for %s: consul does not answer", elect.ErrTimeout, cfg.lockKey, o.timeout))
	}
	if err != nil {
		return err
	}
	server, err := redis.Open(c.Context, cfg.redis(me.ID).WithIdlePing())
	if err != nil {
		return err
	}
	defer server.Close()
	e := &elect.Election{
		Lock:    cfg.lock(client, me.ID),
		Session: lock.SessionOptions{Name: cfg.sessionName, TTL: cfg.lockTTL},
		Me:      me, Naming: cfg.naming,
		Redis: server, Creds: cfg.redis(me.ID),
		Probe: cfg.probe(),
		Place: &place.Keeper{Client: client, Me: me, Host: cfg.announceHost, Port: cfg.announcePort, Interval: cfg.interval,
			Creds: cfg.redis(me.ID), Log: log},
		Child: o.child, Log: log,
		HandlerTimeout: o.handler.limit(o.child),
	}
	if o.timeout > 0 {
		e.Timeout = max(time.Millisecond, o.timeout-time.Since(began))
	}
	if o.name != "" {
		e.Session.Name = o.name
	}
	if o.register {
		e.Registrar = cfg.registrar(client, me, log)
	}
	if c.Args().Present() {
		cfg.warnWithheld()
		closeOutput, err := p.setElectHandler(c, e, o, log)
		if err != nil {
			return err
		}
		defer closeOutput()
	}
	return electCode(e.Run(c.Context), o)
}

// setElectHandler makes the command line's handler that of the election. The function that it returns passes on what the handler
// has printed. It returns an error if this process can open no pipe.
func (p *program) setElectHandler(c *cli.Context, e *elect.Election, o electOptions, log *slog.Logger) (func(), error) {
	if o.child {
		out := p.directOutput()
		e.Handler = external(c, o.shell, e.Grace, out)
		return out.close, nil
	}
	out, err := p.queuedOutput(log)
	if err != nil {
		return nil, err
	}
	h := external(c, o.shell, e.Grace, out)
	h.Slow = logSlow(log, e.HandlerTimeout)
	e.Handler = h
	return out.close, nil
}

// electCode gives the error that ended an election its exit code.
func electCode(err error, o electOptions) error {
	switch {
	case errors.Is(err, elect.ErrTimeout):
		return coded(exitTimeout, err)
	case errors.Is(err, takeover.ErrLost):
		return coded(exitLost, err)
	case errors.Is(err, cluster.ErrConflict), errors.Is(err, cluster.ErrOtherCluster), errors.Is(err, cluster.ErrNewerVersion),
		redis.Unsupported(err):
		return coded(exitUsage, err)
	case errors.Is(err, handlers.ErrExit) && o.child && !o.childCode:
		return nil
	}
	return coded(exitHandler, err)
}

// logSlow returns what logs that a handler runs for long. A limit of 0 is none.
func logSlow(log *slog.Logger, limit time.Duration) func() {
	return func() {
		log.Warn("a handler still runs, and what comes next waits for it", "event", "handler_slow", "after", handlers.SlowAfter,
			"limit", limit)
	}
}

// external is the handler given as arguments after the flags.
func external(c *cli.Context, shell bool, grace func() time.Duration, out childOutput) *handlers.Command {
	return &handlers.Command{Args: c.Args().Slice(), Shell: shell, Stdout: out.stdout, Stderr: out.stderr, Grace: grace}
}
