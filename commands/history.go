package commands

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/cluster"
	"resec/commands/lock"
)

func (p *program) history() *cli.Command {
	var asJSON bool
	extra := []setting{toggle(&asJSON, "json", "false", "print JSON, with the steps of each takeover")}
	return p.command("history", "", "show the last 20 changes of master, the newest last",
		forConsul|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			client, err := cfg.operatorClient()
			if err != nil {
				return err
			}
			changes, err := lock.Lock{Client: client, Key: cfg.lockKey}.History(c.Context)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p.out, append([]cluster.Change{}, changes...)) // an empty history is [], not null
			}
			t := newTable("WHEN", "FROM", "TO", "TERM", "OUTAGE", "CAUSE")
			for _, c := range changes {
				outage := ""
				if c.From != "" {
					outage = milliseconds(c.Outage)
				}
				t.row(c.At.Local().Format(time.RFC3339), c.From, c.To, strconv.FormatUint(c.Term, 10), outage, c.Cause)
			}
			return t.write(p.out)
		})
}
