package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/status"
	"resec/handlers"
	"resec/handlers/redis"
)

func (p *program) forget() *cli.Command {
	var timeout time.Duration
	extra := []setting{{name: "timeout", def: "10s", usage: "how long to wait until the master's agent has taken it out of the record", takes: duration, set: positive(&timeout)}}
	return p.command("forget", "ID", "take a member that will not come back out of the record and the catalogue",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			if c.NArg() != 1 {
				return errors.New("forget takes one ID: see resec status")
			}
			return p.runForget(c.Context, cfg, c.Args().First(), timeout)
		})
}

func (p *program) runForget(ctx context.Context, cfg *config, id string, timeout time.Duration) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	view, answers, err := cfg.survey(ctx, client)
	if err != nil {
		return err
	}
	if err := view.CheckService(cfg.naming.Name(catalog.Master)); err != nil {
		return err
	}
	if err := forgettable(id, view, answers); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := lock.Lock{Client: client, Key: cfg.lockKey}
	if err := l.DeleteMember(ctx, id); err != nil {
		return err
	}
	for {
		entries, err := cfg.naming.Instances(ctx, client)
		left := slices.DeleteFunc(entries, func(e handlers.Entry) bool { return e.ID() != id })
		for _, e := range left {
			_, err2 := client.Catalog().Deregister(&api.CatalogDeregistration{Node: e.Node.Node, ServiceID: e.Service.ID}, (&api.WriteOptions{}).WithContext(ctx))
			err = errors.Join(err, err2)
		}
		v, err2 := l.Read(ctx)
		_, recorded := v.State.Members[id]
		if err = errors.Join(err, err2); err == nil && !recorded && len(left) == 0 {
			_, err := fmt.Fprintln(p.stdout, id, "is forgotten")
			return err
		}
		select {
		case <-ctx.Done():
			if err == nil && recorded && v.Free() {
				err = errors.New("there is no master whose agent keeps the record")
			} else if err == nil && len(left) > 0 {
				err = errors.New("its consul agent lives, and lists it again: deregister it there")
			}
			return coded(exitTimeout, errors.Join(fmt.Errorf("%s is not forgotten after %s", id, timeout), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// forgettable says why a member cannot be forgotten: it is there.
func forgettable(id string, v cluster.View, answers []status.MemberStatus) error {
	at := slices.IndexFunc(answers, func(a status.MemberStatus) bool { return a.ID == id })
	_, recorded := v.State.Members[id]
	switch {
	case at < 0 && !recorded:
		return fmt.Errorf("there is no member %q: see resec status", id)
	case v.LiveAgents[id].Session != "":
		return fmt.Errorf("the agent of %s lives: a member that leaves is forgotten by itself", id)
	case at >= 0 && answers[at].Err != nil && redis.Replied(answers[at].Err):
		return fmt.Errorf("what answers at %s may be the redis of %s: %w", answers[at].Address, id, answers[at].Err)
	case at >= 0 && answers[at].Err == nil && v.IsMembers(id, answers[at].Status):
		return fmt.Errorf("the redis of %s answers at %s: stop it first", id, answers[at].Address)
	}
	return nil
}
