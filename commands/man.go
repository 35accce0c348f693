package commands

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"
)

// manual prints the man page, made from the same definitions as the help.
func (p *program) manual() *cli.Command {
	return p.command("man", "", "print the man page (roff)", 0, nil, func(c *cli.Context, _ *config, _ *slog.Logger) error {
		return printManual(p.out, c.App)
	})
}

// roff is a text without what troff takes for a command: a backslash, a dash that it would stretch, a dot that begins a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// printManual writes the man page of section 1.
func printManual(w io.Writer, app *cli.App) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(".TH RESEC 1 \"\" %q", "resec "+build().Version)
	line(".SH NAME\nresec \\- %s", roff(app.Usage))
	line(".SH SYNOPSIS\n.B resec\n.I COMMAND\n[flags] [arguments]")
	line(".SH DESCRIPTION\n%s", roff("One agent runs beside each Redis server. "+
		"The agents elect one master through a lock in Consul, make the "+
		"other servers replicate from it, and publish master and replicas as Consul services."))
	for _, group := range commandGroups {
		line(".SH %s", roff(strings.ToUpper(group)))
		for _, c := range app.Commands {
			if c.Category == group {
				commandManual(line, c)
			}
		}
	}
	line(".SH SEE ALSO\n.BR consul (1),\n.BR redis\\-server (1)")
	_, err := io.WriteString(w, b.String())
	return err
}

// commandManual writes the part of one subcommand.
func commandManual(line func(string, ...any), c *cli.Command) {
	line(".SS %s", roff(strings.TrimSpace("resec "+c.Name+" [flags] "+c.ArgsUsage)))
	line("%s.", roff(c.Usage))
	if codes := exitCodes[c.Name]; codes != "" {
		line(".PP\nExit code: %s.", roff(codes))
	}
	line(".PP\n.nf")
	for example := range strings.Lines(c.Description) {
		line("    %s", roff(strings.TrimSpace(example)))
	}
	line(".fi")
	for _, s := range settingsOf(c) {
		line(".TP\n.B %s\n%s", roff(s.form()), roff(s.description()))
	}
}
