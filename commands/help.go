package commands

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// The groups in which the help of the program lists its subcommands.
const (
	groupRun      = "Run"
	groupOperate  = "Operate a cluster"
	groupHandlers = "Handlers, for scripts"
	groupMore     = "More"
)

var commandGroups = []string{groupRun, groupOperate, groupHandlers, groupMore}

// printHelp prints the help of the program or of one subcommand. The library calls it, and ignores errors of w.
func printHelp(w io.Writer, _ string, of any) {
	switch of := of.(type) {
	case *cli.App:
		printAppHelp(w, of)
	case *cli.Command:
		printCommandHelp(w, of)
	}
}

// printAppHelp prints the subcommands, and no flags: each subcommand has its own.
func printAppHelp(w io.Writer, app *cli.App) {
	fmt.Fprintf(w, "resec - %s\n\nUsage: resec COMMAND [flags] [arguments]\n", app.Usage)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, group := range commandGroups {
		fmt.Fprintf(t, "\n%s:\n", group)
		for _, c := range app.Commands {
			if c.Category == group {
				fmt.Fprintf(t, "  %s\t%s\n", c.Name, c.Usage)
			}
		}
	}
	_ = t.Flush() // of w
	fmt.Fprint(w, "\n`resec COMMAND -h` shows its flags and an example. To start the agent: resec agent.\n")
}

// printCommandHelp prints what a subcommand does, an example, and its flags by topic, its own first.
func printCommandHelp(w io.Writer, c *cli.Command) {
	usage := "resec " + c.Name + " [flags]"
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	fmt.Fprintf(w, "resec %s - %s\n\nUsage: %s\n", c.Name, c.Usage, usage)
	if c.Description != "" {
		fmt.Fprintf(w, "\nExample:\n  %s\n", strings.ReplaceAll(c.Description, "\n", "\n  "))
	}
	if codes := exitCodes[c.Name]; codes != "" {
		fmt.Fprintf(w, "\nExit code: %s\n", codes)
	}
	if c.Category == groupHandlers {
		fmt.Fprintf(w, "\n%s\n", beneathAnAgent)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	topic := "none yet"
	for _, s := range settingsOf(c) {
		if s.topic != topic {
			topic = s.topic
			fmt.Fprintf(t, "\n%s:\n", cmp.Or(topic, "Flags of "+c.Name))
		}
		fmt.Fprintf(t, "  %s\t%s\n", s.form(), s.description())
	}
	_ = t.Flush() // of w
}

// settingsOf are the settings of a subcommand's flags by topic, its own first.
func settingsOf(c *cli.Command) []*setting { return settingsOfFlags(c.Flags) }

func settingsOfFlags(flags []cli.Flag) (own []*setting) {
	var shared []*setting
	for _, f := range flags {
		g, isGeneric := f.(*cli.GenericFlag)
		if !isGeneric {
			continue // -help, which is the library's
		}
		if s := g.Value.(*flagValue).setting; s.topic == "" {
			own = append(own, s)
		} else {
			shared = append(shared, s)
		}
	}
	return append(own, shared...)
}

// form is how a flag is written: with a single dash, as the consul command's.
func (s *setting) form() string {
	if s.bare {
		return "-" + s.name
	}
	return "-" + s.name + "=<value>"
}

// description is what a flag does, with its default and its variable.
func (s *setting) description() string {
	text := s.usage
	if s.def != "" {
		text += " (default: " + s.def + ")"
	}
	if s.env != "" {
		text += " [$" + s.env + "]"
	}
	return text
}
