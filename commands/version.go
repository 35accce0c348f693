package commands

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func (p *program) version() *cli.Command {
	return p.command("version", "", "show version, commit and Go", 0, nil, func(*cli.Context, *config, *slog.Logger) error {
		_, err := fmt.Fprintln(p.stdout, buildVersion())
		return err
	})
}

// release is the version that scripts/release builds; empty otherwise: then it is what the Go tool makes of the tags.
var release string

// buildVersion reads what the Go tool recorded when it built this program.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "resec unknown"
	}
	commit, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	return fmt.Sprintf("resec %s, commit %s%s, %s", cmp.Or(release, info.Main.Version), commit, dirty, info.GoVersion)
}
