package commands

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// alike is the similarity, by Jaro and Winkler, from which on a word may be what was meant: 1 is the same word.
const alike = 0.85

// closest is the word that is most like the given one; empty: none is like it.
func closest(given string, words []string) (best string) {
	most := alike
	for _, w := range words {
		if score := smetrics.JaroWinkler(given, w, 0.7, 4); score >= most {
			best, most = w, score
		}
	}
	return best
}

// usageError names the flag that is most like one that does not exist.
func usageError(c *cli.Context, err error, _ bool) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	help := "see resec -help"
	if name == "version" {
		return errors.New("unknown flag -version: did you mean resec version?")
	}
	if c.Command.Name == "resec" && slices.ContainsFunc(c.App.Commands, func(sub *cli.Command) bool { return hasFlag(sub, name) }) {
		return errors.New("flags come after the subcommand: resec COMMAND [flags]")
	}
	var flags []string
	for _, s := range settingsOf(c.Command) {
		flags = append(flags, s.name)
	}
	if c.Command.Name != "resec" {
		help = "see resec " + c.Command.Name + " -help"
	}
	if like := closest(name, flags); like != "" {
		help = fmt.Sprintf("did you mean -%s?", like)
	}
	return fmt.Errorf("unknown flag -%s: %s", name, help)
}

// hasFlag reports whether a subcommand has a flag.
func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(settingsOf(c), func(s *setting) bool { return s.name == name })
}

// meant are subcommands by what other programs call them.
var meant = map[string]string{"start": "agent", "run": "agent", "members": "status", "list": "status", "maint": "pause",
	"force-leave": "forget", "log": "history", "watch": "follow", "lock": "elect"}

// unknownCommand is the error of a subcommand that does not exist. It names the one that is most like it.
func unknownCommand(commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	help := "see resec -help"
	if like := cmp.Or(meant[name], closest(name, names)); like != "" {
		help = fmt.Sprintf("did you mean %s?", like)
	}
	return fmt.Errorf("unknown subcommand %q: %s", name, help)
}
