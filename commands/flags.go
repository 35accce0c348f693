package commands

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// setting is one value of the configuration. It comes from the flag, else from the environment variable, else from the default.
type setting struct {
	name, env, def string
	usage          string
	takes          string             // what a valid value is; shown with an invalid one
	set            func(string) error // parses into the configuration; its error text is not shown
	bare           bool               // boolean: the flag without a value means true
	free           bool               // text for a shell or for people: it may have quotes, blanks and line breaks anywhere
	group          group
	topic          string // under which the help lists it; empty: it is of one subcommand alone

	bad error // of the flag's first bad value; nil: it has none
}

// group names the subcommands that take a setting.
type group uint

const (
	forConsul   group = 1 << iota // those that connect to Consul
	forRedis                      // those that connect to Redis
	forCluster                    // those that need the names of the cluster
	forElect                      // those that contend for the lock
	forService                    // those that register a service
	forAgent                      // only the agent
	forEndpoint                   // those that answer clients as a Sentinel
	forProxy                      // those that pass clients on
	forLog      = forConsul | forRedis
)

// flagValue is a setting while its flag is parsed.
type flagValue struct {
	*setting
	given string
}

func (f *flagValue) String() string   { return f.given }
func (f *flagValue) IsBoolFlag() bool { return f.bare }

// Set takes a value in. resolve returns the error of a bad one: that of the library would show a password.
func (f *flagValue) Set(v string) error {
	if err := f.parse(v); err != nil && f.bad == nil {
		f.bad = f.invalid(v, "flag -"+f.name, err)
	}
	f.given = v
	return nil
}

// flags are the flags of one subcommand. The library does not read the environment for them. It would take an empty variable for
// a value, and would report a bad variable in another form than a bad flag.
func flags(settings []setting) []cli.Flag {
	out := make([]cli.Flag, len(settings))
	for i := range settings {
		out[i] = &cli.GenericFlag{Name: settings[i].name, Usage: settings[i].usage, Value: &flagValue{setting: &settings[i]}}
	}
	return out
}

// resolve sets the settings that no flag has set, from the environment or the default. It returns an error for the first bad
// value, be it a flag's or a variable's.
func resolve(c *cli.Context, settings []setting) error {
	for _, s := range settings {
		if s.bad != nil {
			return s.bad
		}
		if c.IsSet(s.name) {
			continue
		}
		v, from := s.def, "the default of "+s.name
		if env := os.Getenv(s.env); s.env != "" && env != "" {
			v, from = env, s.env
		}
		if err := s.parse(v); err != nil {
			return s.invalid(v, from, err)
		}
	}
	return nil
}

// withoutLogin is a value without what is before its last @: that may be a password.
func withoutLogin(v string) string { return v[strings.LastIndex(v, "@")+1:] }

// text takes any value.
func text(p *string) func(string) error { return func(v string) error { *p = v; return nil } }

func boolean(p *bool) func(string) error {
	return func(v string) (err error) { *p, err = strconv.ParseBool(v); return err }
}

// toggle is a boolean flag of one subcommand.
func toggle(p *bool, name, def, usage string) setting {
	return setting{name: name, def: def, usage: usage, takes: trueFalse, set: boolean(p), bare: true}
}

func positive(p *time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return errBad
		}
		*p = d
		return nil
	}
}

// orNone makes a setting optional: an empty value changes nothing.
func orNone(set func(string) error) func(string) error {
	return func(v string) error {
		if v == "" {
			return nil
		}
		return set(v)
	}
}

// list takes comma-separated values.
func list(p *[]string) func(string) error {
	return func(v string) error {
		*p = nil
		for _, t := range strings.Split(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				*p = append(*p, t)
			}
			if fault := textFault(t); fault != "" {
				return fmt.Errorf("%q: without %s", t, fault)
			}
		}
		return nil
	}
}
