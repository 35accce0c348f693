package commands

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/handlers"
	"resec/handlers/redis"
)

// eventMax bounds the event on standard input, in bytes.
const eventMax = 4 << 20

// stdinTimeout bounds the wait for an event. An inherited pipe, as under `ssh host resec fence`, may never end, and an operator
// must not have to wait for it.
const stdinTimeout = 2 * time.Second

func (p *program) promote() *cli.Command {
	return p.command("promote", "", "make Redis a master that accepts writes, once",
		forRedis, nil, p.once(handlers.TypePromote, handlers.Promote))
}

func (p *program) fence() *cli.Command {
	return p.command("fence", "", "make Redis refuse writes, once; undone by promote or replicate",
		forRedis, nil, p.once(handlers.TypeFence, handlers.Fence))
}

func (p *program) replicate() *cli.Command {
	return p.command("replicate", "[host:port]",
		"make Redis replicate from a master, once: from the argument, or from service entries on standard input",
		forRedis|forCluster, nil, p.runReplicate)
}

// once runs a built-in handler. The event on standard input is optional.
func (p *program) once(event string, run func(context.Context, *redis.Server) (handlers.Result, error)) action {
	return func(c *cli.Context, cfg *config, log *slog.Logger) error {
		data, err := p.event(c.Context)
		if err != nil {
			return err
		}
		if _, err := handlers.ParseEvent(data, event); err != nil {
			return err
		}
		return p.withRedis(c.Context, cfg, func(s *redis.Server) (handlers.Result, error) { return run(c.Context, s) })
	}
}

func (p *program) runReplicate(c *cli.Context, cfg *config, log *slog.Logger) error {
	if c.NArg() > 1 {
		return fmt.Errorf("%q takes one host:port, got also %q", "replicate", c.Args().Get(1))
	}
	if addr := c.Args().First(); addr != "" {
		host, _, err := splitAddr(addr)
		if err != nil || host == "" {
			return fmt.Errorf("invalid master %q: takes %s", addr, hostPort)
		}
		return p.withRedis(c.Context, cfg, func(s *redis.Server) (handlers.Result, error) {
			return handlers.Replicate(c.Context, s, handlers.Target{Addr: addr}, cfg.redis("replicate"))
		})
	}
	data, err := p.event(c.Context)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("replicate takes a host:port, or service entries on standard input")
	}
	entries, err := handlers.ParseEntries(data)
	if err != nil {
		return err
	}
	return p.withRedis(c.Context, cfg, func(s *redis.Server) (handlers.Result, error) {
		return replicateEntries(c.Context, s, entries, cfg)
	})
}

// replicateEntries makes the server replicate from the master among service entries. Without a master it changes nothing. It
// returns an error if the server cannot or must not replicate from it.
func replicateEntries(ctx context.Context, server *redis.Server, entries []handlers.Entry, cfg *config) (handlers.Result, error) {
	master, ok := handlers.MasterOf(entries, cfg.naming.Tag(catalog.Master))
	if !ok {
		return handlers.Result{Handler: "replicate", Redis: server.Addr(), Reason: "there is no master"}, nil
	}
	return handlers.Replicate(ctx, server, handlers.Target{Addr: master.Addr()}, cfg.redis("replicate"))
}

// withRedis runs one handler and prints its result as JSON. Its error has exitHandler.
func (p *program) withRedis(ctx context.Context, cfg *config, run func(*redis.Server) (handlers.Result, error)) error {
	server, err := redis.Open(ctx, cfg.redis(cmp.Or(cfg.memberID, "handler")))
	if err != nil {
		return coded(exitHandler, err)
	}
	defer server.Close()
	res, err := run(server)
	if err != nil {
		return coded(exitHandler, err)
	}
	printed, err := json.Marshal(res)
	if err != nil {
		return err
	}
	p.done("%s", printed)
	return nil
}

// event reads one JSON value from standard input. It returns nothing for a terminal, /dev/null, or a pipe that stays open without
// data. It does not wait for the end of the pipe. It returns an error if the data is no JSON or too long.
func (p *program) event(ctx context.Context) ([]byte, error) {
	if f, ok := p.stdin.(*os.File); ok {
		if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice != 0 {
			return nil, nil
		}
	}
	type answer struct {
		data json.RawMessage
		err  error
	}
	got := make(chan answer, 1) // a read from an open pipe cannot be cancelled; its goroutine ends with the process
	go func() {
		var a answer
		a.err = json.NewDecoder(io.LimitReader(p.stdin, eventMax)).Decode(&a.data)
		got <- a
	}()
	select {
	case a := <-got:
		if a.err != nil && a.err != io.EOF {
			return nil, fmt.Errorf("read the event on standard input, one JSON value of at most %d bytes: %w", eventMax, a.err)
		}
		return a.data, nil
	case <-time.After(stdinTimeout):
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
