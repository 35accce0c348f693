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
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// killGrace is how long a child has from SIGTERM to SIGKILL where no lease makes it shorter, as under `consul lock`.
const killGrace = 5 * time.Second

// electOptions are the flags that elect alone has; their names are those of `consul lock`.
type electOptions struct {
	register, child, childCode, shell, verbose bool
	name                                       string
	timeout                                    time.Duration // 0: for ever
}

func (p *program) elect() *cli.Command {
	var o electOptions
	extra := []setting{
		toggle(&o.register, "register", "true", "register the master service while the lock is held"),
		toggle(&o.child, "child", "false", "hold the lock only while the handler runs, as consul lock does; nothing is published or registered"),
		toggle(&o.childCode, "child-exit-code", "false", "with -child: exit 2 when the child failed"),
		toggle(&o.shell, "shell", "true", "run the handler by /bin/sh -c"),
		toggle(&o.verbose, "verbose", "false", "log at DEBUG"),
		{name: "name", usage: "name of the session, instead of -consul-lock-session-name", takes: "a name", set: text(&o.name)},
		{name: "timeout", usage: "how long to wait for the lock (default: for ever)", takes: duration, set: orNone(positive(&o.timeout))},
	}
	return p.command("elect", "[handler...]", "contend for the lock; while it is held, Redis is promoted (mirrors consul lock)",
		forConsul|forRedis|forCluster|forElect|forService, extra, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			return p.runElect(c, cfg, log, o)
		})
}

func (p *program) runElect(c *cli.Context, cfg *config, log *slog.Logger, o electOptions) error {
	if o.verbose {
		cfg.logLevel = slog.LevelDebug
		log = cfg.logger(p.stderr)
	}
	if o.child && !c.Args().Present() {
		return errors.New("-child takes a handler")
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	began, find := time.Now(), c.Context
	if o.timeout > 0 { // it counts from the start: Consul may be what is missing
		var cancel context.CancelFunc
		find, cancel = context.WithTimeout(find, o.timeout)
		defer cancel()
	}
	me, err := cfg.identify(find, client, log)
	switch {
	case err != nil || c.Context.Err() != nil:
		return err
	case find.Err() != nil:
		return coded(exitTimeout, fmt.Errorf("%w %s for %s: consul does not answer", elect.ErrTimeout, cfg.lockKey, o.timeout))
	}
	server, err := redis.Open(c.Context, cfg.redis(me.ID).WithIdlePing())
	if err != nil {
		return err
	}
	defer server.Close()
	e := &elect.Election{
		Lock:    lock.Lock{Client: client, Key: cfg.lockKey, Member: me.ID, LastKnown: &lock.LastKnownState{}},
		Session: lock.SessionOptions{Name: cfg.sessionName, TTL: cfg.lockTTL},
		Me:      me, Naming: cfg.naming,
		Redis: server, Creds: cfg.redis(me.ID),
		Probe: redis.Probe{Every: cfg.interval, Timeout: cfg.timeout, Failures: cfg.failures},
		Child: o.child, Log: log,
	}
	if o.timeout > 0 {
		e.Timeout = max(time.Millisecond, o.timeout-time.Since(began))
	}
	if o.name != "" {
		e.Session.Name = o.name
	}
	if o.register {
		e.Registrar = cfg.registrar(client, me.ServiceID, log)
	}
	if c.Args().Present() {
		cfg.warnWithheld()
		// Half of what is left of the lease: the fence handler needs the rest.
		grace := func() time.Duration { return min(killGrace, e.Lease()/2) }
		e.Handler = p.external(c, o.shell, grace)
	}
	return electCode(e.Run(c.Context), o)
}

// electCode tells apart why an election ended.
func electCode(err error, o electOptions) error {
	switch {
	case errors.Is(err, elect.ErrTimeout):
		return coded(exitTimeout, err)
	case errors.Is(err, takeover.ErrLost):
		return coded(exitLost, err)
	case errors.Is(err, cluster.ErrConflict), errors.Is(err, cluster.ErrOtherCluster), errors.Is(err, cluster.ErrNewerVersion),
		errors.Is(err, redis.ErrTooOld):
		return coded(exitUsage, err)
	case errors.Is(err, handlers.ErrExit) && o.child && !o.childCode:
		return nil
	}
	return coded(exitHandler, err)
}

// external is the handler that stands behind the flags.
func (p *program) external(c *cli.Context, shell bool, grace func() time.Duration) *handlers.Command {
	return &handlers.Command{Args: c.Args().Slice(), Shell: shell, Stdout: p.stdout, Stderr: p.stderr, Grace: grace}
}
