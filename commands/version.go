package commands

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func (p *program) version() *cli.Command {
	var asJSON bool
	return p.command("version", "", "show version, commit and Go", 0, []setting{jsonFlag(&asJSON)},
		func(*cli.Context, *config, *slog.Logger) error {
			if asJSON {
				return printJSON(p.out, build())
			}
			_, err := fmt.Fprintln(p.out, build())
			return err
		})
}

// release is the version that scripts/release builds; empty otherwise: then it is what the Go tool makes of the tags.
var release string

// buildInfo is what this program was built from.
type buildInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // with +changes if it was built from changed files
	Go      string `json:"go"`
}

func (b buildInfo) String() string {
	return fmt.Sprintf("resec %s, commit %s, %s", b.Version, b.Commit, b.Go)
}

// build reads what the Go tool recorded when it built this program.
func build() buildInfo {
	b := buildInfo{Version: "unknown", Commit: "unknown", Go: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version, b.Go = cmp.Or(release, info.Main.Version), info.GoVersion
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	b.Commit += dirty
	return b
}
