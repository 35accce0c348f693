// Package commands holds the subcommands of resec, one a file: its flags and one call.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"

	"resec/commands/output"
	"resec/commands/pace"
)

// Exit codes, as README.md of this folder lists them. `status` and `switchover` have codes of their own.
const (
	exitOK      = 0
	exitUsage   = 1 // bad usage, or the command could not start
	exitHandler = 2 // the handler ran and failed
	exitLost    = 3 // the lock was held and then lost
	exitTimeout = 4 // the lock was not acquired, or the request not carried out, in time
)

// codeError is an error with its own exit code. With a nil err nothing is printed.
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

// coded gives an error an exit code; nil stays nil.
func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	return codeError{code, err}
}

// program holds the standard streams, which every subcommand uses.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	out            *output.Stream // to stdout, for what an operator's command prints
	log            *output.Queue  // to stderr, for all that this program itself says there
}

// Run runs one command line until it is done or the context ends. It prints an error to stderr and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin, stdout, stderr, output.NewStream(ctx, stdout), output.NewQueue(stderr)}
	defer p.log.Close()
	err := p.app().RunContext(ctx, args)
	if err == nil {
		return exitOK
	}
	if err.Error() != "" {
		fmt.Fprintf(p.log, "resec: %s%s\n", withoutPage(err), consulHint(err))
	}
	var ce codeError
	if errors.As(err, &ce) {
		return ce.code
	}
	return exitUsage
}

func (p *program) app() *cli.App {
	cli.HelpPrinter = printHelp // the library has no other place for it
	bare := p.agent()
	return &cli.App{
		Name:     "resec",
		Usage:    "automatic failover for Redis, by a lock in Consul",
		Commands: p.commands(),
		Flags:    bare.Flags,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return p.otherwise(c)
			}
			if p.typedAlone(c) {
				if err := cli.ShowAppHelp(c); err != nil {
					return err
				}
				return errors.New("to start the agent: resec agent")
			}
			return bare.Action(c)
		},
		Writer: p.out, ErrWriter: p.log,
		HideVersion: true, HideHelpCommand: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // only main exits
		OnUsageError:              usageError,
		DisableSliceFlagSeparator: true,
	}
}

// otherwise does what is typed by habit although it is no subcommand: `resec help` and `resec help COMMAND`.
func (p *program) otherwise(c *cli.Context) error {
	switch name := c.Args().Get(1); {
	case c.Args().First() != "help":
		return unknownCommand(c.App.Commands, c.Args().First())
	case name == "":
		return cli.ShowAppHelp(c)
	case c.App.Command(name) == nil:
		return unknownCommand(c.App.Commands, name)
	default:
		printCommandHelp(p.out, c.App.Command(name))
		return nil
	}
}

// commands are the subcommands, in the order of the help.
func (p *program) commands() (all []*cli.Command) {
	for _, g := range []struct {
		group    string
		commands []*cli.Command
	}{
		{groupRun, []*cli.Command{p.agent(), p.elect(), p.follow(), p.sentinel(), p.proxy()}},
		{groupOperate, []*cli.Command{p.status(), p.history(), p.switchover(), p.failover(), p.pause(), p.resume(), p.forget()}},
		{groupHandlers, []*cli.Command{p.promote(), p.replicate(), p.fence()}},
		{groupMore, []*cli.Command{p.completion(), p.manual(), p.version()}},
	} {
		for _, c := range g.commands {
			c.Category, c.Description = g.group, examples[c.Name]
			all = append(all, c)
		}
	}
	return all
}

// action is what a subcommand does once its settings are read and checked.
type action func(*cli.Context, *config, *slog.Logger) error

// command builds one subcommand. It takes the settings of the groups in want, and those in extra.
func (p *program) command(name, args, usage string, want group, extra []setting, run action) *cli.Command {
	cfg := &config{}
	settings := append(cfg.settings(want), extra...)
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: args, Flags: flags(settings),
		OnUsageError: usageError, HideHelpCommand: true,
		Action: func(c *cli.Context) error {
			if err := misplaced(c, name, args); err != nil {
				return err
			}
			if err := resolve(c, settings); err != nil {
				return err
			}
			if err := cfg.validate(want); err != nil {
				return err
			}
			log := cfg.logger(p.log)
			cfg.log = log
			ctx, stop := catchSignals(c.Context, name, log)
			defer stop()
			c.Context, p.out = pace.With(ctx), output.NewStream(ctx, p.stdout) // SIGHUP ends a write, too
			if want&forElect != 0 {
				cfg.warnLimits(log)
			}
			if want&(forRedis|forProxy) != 0 {
				if err := cfg.access.prepare(log); err != nil {
					return err
				}
			}
			defer cfg.close()
			err := run(c, cfg, log)
			if errors.Is(err, errNotIdentified) && c.Context.Err() != nil {
				return nil // stopped by a signal before anything was done
			}
			return err
		},
	}
}

// argumentFlags say, by subcommand, which flag takes what is often given as an argument.
var argumentFlags = map[string]string{"switchover": "; the next master is -to ID", "failover": "; the next master is -to ID",
	"pause": "; the duration is -for DURATION"}

// misplaced returns an error if a flag is before the subcommand, or an argument is given to one that takes none.
func misplaced(c *cli.Context, name, args string) error {
	for _, parent := range c.Lineage()[1:] {
		if parent.Command != nil && parent.NumFlags() > 0 {
			return fmt.Errorf("flags come after the subcommand: resec %s [flags]", name)
		}
	}
	if args == "" && c.Args().Present() {
		return fmt.Errorf("%q takes no argument %q%s", name, c.Args().First(), argumentFlags[name])
	}
	return nil
}
