// Package commands holds the subcommands: each file is one, its flags and one call.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"
)

// Exit codes, as the README lists them. `status` has its own.
const (
	exitOK      = 0
	exitUsage   = 1 // bad usage, or nothing could be started
	exitHandler = 2 // the handler ran and failed
	exitLost    = 3 // the lock was held and is lost
	exitTimeout = 4 // the lock could not be had in time
)

// codeError is an error with an exit code of its own; a nil err says nothing.
type codeError struct {
	code int
	err  error
}

func (e codeError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e codeError) Unwrap() error { return e.err }

func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	return codeError{code, err}
}

// program is what every subcommand is given.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Run runs one command line until it is done or the context ends, and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin, stdout, stderr}
	err := p.app().RunContext(ctx, args)
	if err == nil {
		return exitOK
	}
	if err.Error() != "" {
		fmt.Fprintf(stderr, "resec: %v\n", err)
	}
	var ce codeError
	if errors.As(err, &ce) {
		return ce.code
	}
	return exitUsage
}

func (p *program) app() *cli.App {
	cli.FlagStringer = describe // the library has no other way to show single dashes
	bare := p.agent()
	return &cli.App{
		Name:  "resec",
		Usage: "a highly available Redis master through a Consul lock; without a subcommand: agent",
		Commands: []*cli.Command{
			p.elect(), p.follow(), p.agent(), p.promote(), p.replicate(), p.fence(), p.status(), p.history(),
			p.switchover(), p.failover(), p.pause(), p.resume(), p.forget(), p.version(),
		},
		Flags: bare.Flags,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("unknown subcommand %q: see resec -help", c.Args().First())
			}
			return bare.Action(c)
		},
		Writer: p.stdout, ErrWriter: p.stderr,
		HideVersion: true, HideHelpCommand: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // main alone exits
		OnUsageError:              usageError,
		DisableSliceFlagSeparator: true,
	}
}

func usageError(_ *cli.Context, err error, _ bool) error { return err }

// command builds one subcommand. The groups say which settings it takes; run is called with all of them in place.
func (p *program) command(name, args, usage string, want group, extra []setting, run func(*cli.Context, *config, *slog.Logger) error) *cli.Command {
	cfg := &config{}
	settings := append(cfg.settings(want), extra...)
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: args, Flags: flags(settings),
		OnUsageError: usageError, HideHelpCommand: true,
		Action: func(c *cli.Context) error {
			for _, outer := range c.Lineage()[1:] {
				if outer.Command != nil && outer.NumFlags() > 0 {
					return fmt.Errorf("flags of %q stand behind its name", name)
				}
			}
			if args == "" && c.Args().Present() {
				return fmt.Errorf("%q takes no argument %q", name, c.Args().First())
			}
			if err := resolve(c, settings); err != nil {
				return err
			}
			if err := cfg.validate(want); err != nil {
				return err
			}
			log := cfg.logger(p.stderr)
			cfg.log = log
			if want&forRedis != 0 {
				if err := cfg.access.prepare(log); err != nil {
					return err
				}
			}
			defer cfg.close()
			return run(c, cfg, log)
		},
	}
}
