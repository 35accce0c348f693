package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
)

func (p *program) pause() *cli.Command {
	var pause cluster.Pause
	var lasts time.Duration
	var asJSON bool
	extra := []setting{
		jsonFlag(&asJSON),
		{name: "for", def: "1h", usage: "time after which the pause ends by itself", takes: duration, set: positive(&lasts)},
		{name: "reason", usage: "text that status and the agents' logs show", takes: "a text", free: true, set: text(&pause.Reason)},
	}
	return p.command("pause", "", "pause the cluster for maintenance: agents promote, re-point and fence no Redis until resume",
		forConsul|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			l, v, err := cfg.cluster(c.Context)
			if err == nil && v.StateIndex == 0 {
				err = fmt.Errorf("no cluster has its state under the lock key %s; "+
					"give this command the CONSUL_LOCK_KEY of the agents", cfg.lockKey)
			}
			if err != nil {
				return err
			}
			pause.Since = time.Now().UTC().Truncate(time.Second)
			pause.Until = pause.Since.Add(lasts)
			if err := l.Pause(c.Context, pause); err != nil {
				return err
			}
			if asJSON {
				return p.doneJSON(pause)
			}
			p.done("%s", &pause)
			return nil
		})
}

func (p *program) resume() *cli.Command {
	var asJSON bool
	return p.command("resume", "", "end a pause; the agents then react to everything that happened meanwhile",
		forConsul|forCluster, []setting{jsonFlag(&asJSON)}, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			l, v, err := cfg.cluster(c.Context)
			if err != nil {
				return err
			}
			if v.Pause == nil {
				return errors.New("the cluster is not paused")
			}
			if err := l.Resume(c.Context); err != nil {
				return err
			}
			if asJSON {
				return p.doneJSON(map[string]bool{"resumed": true})
			}
			p.done("resumed")
			return nil
		})
}

// cluster reads the lock and the state. It returns an error if they belong to a cluster with another service name.
func (c *config) cluster(ctx context.Context) (l lock.Lock, v cluster.View, err error) {
	client, err := c.operatorClient()
	if err != nil {
		return l, v, err
	}
	l = lock.Lock{Client: client, Key: c.lockKey}
	if v, err = l.Read(ctx); err == nil {
		err = c.checkCluster(v)
	}
	return l, v, err
}

// checkCluster returns cluster.ErrOtherCluster if the state belongs to a cluster with another service name than this command's,
// and cluster.ErrNewerVersion if it is of a newer version.
func (c *config) checkCluster(v cluster.View) error {
	err := v.CheckService(c.naming.Name(catalog.Master))
	if errors.Is(err, cluster.ErrOtherCluster) {
		return fmt.Errorf("%w; give this command the CONSUL_SERVICE_PREFIX or CONSUL_SERVICE_NAME of the agents", err)
	}
	return err
}
