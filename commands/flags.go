package commands

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// A setting is one value of the configuration: a flag, an environment variable, or its default, in that order.
type setting struct {
	name, env, def string
	usage          string
	takes          string             // what a good value is, for the one line that a bad one gets
	set            func(string) error // parses into the configuration; its error text is not shown
	bare           bool               // a boolean: the flag alone means true
	group          group
}

// group says which subcommands take a setting.
type group uint

const (
	forConsul  group = 1 << iota // who speaks to Consul
	forRedis                     // who speaks to Redis
	forCluster                   // who needs to know the cluster's names
	forElect                     // who contends for the lock
	forService                   // who registers a service
	forAgent                     // the agent alone
	forLog     = forConsul | forRedis
)

// flagValue is a setting under parsing.
type flagValue struct {
	*setting
	given string
}

func (f *flagValue) String() string   { return f.given }
func (f *flagValue) IsBoolFlag() bool { return f.bare }
func (f *flagValue) Set(v string) error {
	if err := f.set(v); err != nil {
		return fmt.Errorf("takes %s", f.takes)
	}
	f.given = v
	return nil
}

// flags are the flags of one subcommand. The library's own reading of the environment is not used: there, an empty
// variable overrides a default, and a bad one is reported in another form than a bad flag.
func flags(settings []setting) []cli.Flag {
	out := make([]cli.Flag, len(settings))
	for i := range settings {
		out[i] = &cli.GenericFlag{Name: settings[i].name, Usage: settings[i].usage, Value: &flagValue{setting: &settings[i]}}
	}
	return out
}

// resolve fills in what no flag gave: from the environment, else the default.
func resolve(c *cli.Context, settings []setting) error {
	for _, s := range settings {
		if c.IsSet(s.name) {
			continue
		}
		v, from := s.def, "the default of "+s.name
		if env := os.Getenv(s.env); s.env != "" && env != "" {
			v, from = env, s.env
		}
		if err := s.set(v); err != nil {
			return fmt.Errorf("invalid value %q for %s: takes %s", v[strings.LastIndex(v, "@")+1:], from, s.takes) // before it a password may stand
		}
	}
	return nil
}

// describe is how the help shows a flag: with a single dash, as Consul does.
func describe(f cli.Flag) string {
	g, ok := f.(*cli.GenericFlag)
	if !ok {
		return "-" + strings.Join(f.Names(), ", -") + "\tshow help"
	}
	s := g.Value.(*flagValue).setting
	text := "-" + s.name
	if !s.bare {
		text += " value"
	}
	text += "\t" + s.usage
	if s.def != "" {
		text += " (default: " + s.def + ")"
	}
	if s.env != "" {
		text += " [$" + s.env + "]"
	}
	return text
}

func text(p *string) func(string) error { return func(v string) error { *p = v; return nil } }

func boolean(p *bool) func(string) error {
	return func(v string) (err error) { *p, err = strconv.ParseBool(v); return err }
}

// toggle is a flag of one subcommand alone, which needs no value.
func toggle(p *bool, name, def, usage string) setting {
	return setting{name: name, def: def, usage: usage, takes: "true or false", set: boolean(p), bare: true}
}

func positive(p *time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("not a positive duration")
		}
		*p = d
		return nil
	}
}

// orNone makes a setting optional: no value leaves it as it is.
func orNone(set func(string) error) func(string) error {
	return func(v string) error {
		if v == "" {
			return nil
		}
		return set(v)
	}
}

func list(p *[]string) func(string) error {
	return func(v string) error {
		*p = nil
		for _, t := range strings.Split(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				*p = append(*p, t)
			}
		}
		return nil
	}
}
