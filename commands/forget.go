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

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/status"
	"resec/handlers"
	"resec/handlers/redis"
)

func (p *program) forget() *cli.Command {
	var timeout time.Duration
	var asJSON bool
	extra := []setting{jsonFlag(&asJSON), {name: "timeout", def: "10s", takes: duration, set: positive(&timeout),
		usage: "time to wait until the master's agent has removed the member from the state"}}
	return p.command("forget", "ID", "remove a member that will not come back from the state and the catalogue",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			if c.NArg() != 1 {
				return errors.New("forget takes one ID: see resec status")
			}
			id := c.Args().First()
			if err := runForget(c.Context, cfg, id, timeout); err != nil {
				return err
			}
			if asJSON {
				return p.doneJSON(map[string]string{"removed": id})
			}
			p.done("%s is removed", id)
			return nil
		})
}

// runForget removes a member, and waits until it is removed. It returns an error if the member is alive, unknown, or not removed
// in time.
func runForget(ctx context.Context, cfg *config, id string, timeout time.Duration) error {
	client, err := cfg.operatorClient()
	if err != nil {
		return err
	}
	view, answers, err := cfg.survey(ctx, client)
	if err != nil {
		return err
	}
	if err := cfg.checkCluster(view); err != nil {
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
		done, err := cfg.forgotten(ctx, client, l, id)
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return coded(exitTimeout, errors.Join(fmt.Errorf("%s is not removed after %s", id, timeout), err))
		case <-time.After(forgetPoll):
		}
	}
}

// forgetPoll is the pause between two checks whether a member is removed.
const forgetPoll = 100 * time.Millisecond

// forgotten reports whether neither the state nor the catalogue has the member. It deregisters what the catalogue has of it. The
// error says why it is still there.
func (c *config) forgotten(ctx context.Context, client *api.Client, l lock.Lock, id string) (bool, error) {
	entries, err := c.naming.Instances(ctx, client)
	entries = slices.DeleteFunc(entries, func(e handlers.Entry) bool { return e.ID() != id })
	for _, e := range entries {
		entry := &api.CatalogDeregistration{Node: e.Node.Node, ServiceID: e.Service.ID}
		_, deregisterErr := client.Catalog().Deregister(entry, (&api.WriteOptions{}).WithContext(ctx))
		err = errors.Join(err, deregisterErr)
	}
	v, readErr := l.Read(ctx)
	_, recorded := v.State.Members[id]
	switch err = errors.Join(err, readErr); {
	case err != nil:
		return false, err
	case recorded && v.Free():
		return false, errors.New("no agent holds the lock, and only the master's agent removes a member from the state")
	case len(entries) > 0:
		return false, errors.New("its consul agent is alive and registers it again: deregister it there")
	}
	return !recorded, nil
}

// forgettable returns an error if the id is unknown, or if the member's agent or Redis is alive.
func forgettable(id string, v cluster.View, answers []status.MemberStatus) error {
	at := slices.IndexFunc(answers, func(a status.MemberStatus) bool { return a.ID == id })
	_, recorded := v.State.Members[id]
	_, keyLeft := v.LiveAgents[id]
	if at < 0 && !recorded && !keyLeft {
		return fmt.Errorf("unknown member %q: see resec status", id)
	}
	if v.LiveAgents[id].Session != "" {
		return fmt.Errorf("consul has a session of the agent of %s: stop the agent, which removes its member; "+
			"if it is dead, try again when the session has ended, within twice CONSUL_LOCK_TTL", id)
	}
	if at < 0 {
		return nil
	}
	a := answers[at]
	if a.Err == nil && v.IsMembers(id, a.Status) {
		return fmt.Errorf("the redis of %s answers at %s: stop it first", id, a.Address)
	}
	if a.Err != nil && redis.Replied(a.Err) {
		return fmt.Errorf("the server that answers at %s may be the redis of %s: %w", a.Address, id, a.Err)
	}
	return nil
}
