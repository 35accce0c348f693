package commands

import (
	"fmt"
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

// unknownCommand is the error of a subcommand that does not exist. It names the one that is most like it.
func unknownCommand(commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	help := "see resec -help"
	if like := closest(name, names); like != "" {
		help = fmt.Sprintf("did you mean %s?", like)
	}
	return fmt.Errorf("unknown subcommand %q: %s", name, help)
}
