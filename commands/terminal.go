package commands

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// coloured reports whether w is a terminal that shows colours. Source: https://no-color.org
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// typedAlone reports whether somebody typed `resec` at a terminal, without a flag and without a variable of an agent's: whoever
// does not know the program yet. The variables that operators' commands take, too, say nothing. A unit or a container has no
// terminal, or a variable of an agent's.
func (p *program) typedAlone(c *cli.Context) bool {
	if c.NumFlags() > 0 || !isTerminal(p.stdin) || !isTerminal(p.stdout) {
		return false
	}
	for _, s := range settingsOfFlags(c.App.Flags) {
		if s.env != "" && s.group&(forConsul|forCluster) == 0 && os.Getenv(s.env) != "" {
			return false
		}
	}
	return true
}
