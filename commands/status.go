package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/status"
)

// exitUnknown is status's own code for a Consul that does not answer.
const exitUnknown = 3

// statusAsk bounds the look at one member's Redis.
const statusAsk = time.Second

func (p *program) status() *cli.Command {
	var asJSON bool
	extra := []setting{toggle(&asJSON, "json", "false", "write JSON")}
	return p.command("status", "", "one row a member, and a verdict: exit 0 healthy, 1 degraded, 2 no master, 3 Consul does not answer",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			return p.runStatus(c, cfg, asJSON)
		})
}

func (p *program) runStatus(c *cli.Context, cfg *config, asJSON bool) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	report, err := cfg.report(c.Context, client)
	if err != nil {
		return coded(exitUnknown, err)
	}
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		err = draw(p.stdout, report)
	}
	if err == nil && report.Code != 0 {
		err = codeError{code: report.Code}
	}
	return err
}

func (c *config) report(ctx context.Context, client *api.Client) (status.Report, error) {
	view, answers, err := c.survey(ctx, client)
	if err != nil {
		return status.Report{}, err
	}
	return status.New(view, answers), nil
}

// draw writes the table and the verdict.
func draw(w io.Writer, r status.Report) error {
	lines := []string{"ID|ADDRESS|ROLE|LOCK|TERM|LINK|OFFSET|BEHIND|GUARD|CHECK|REDIS|NOTE"}
	for _, m := range r.Members {
		held, behind := "", ""
		if m.Holder {
			held = "held"
		}
		if m.Behind != nil {
			behind = strconv.FormatInt(*m.Behind, 10)
		}
		lines = append(lines, row(m.ID, m.Address, m.Role, held, strconv.FormatUint(m.Term, 10), m.Link,
			strconv.FormatInt(m.Offset, 10), behind, m.Guard, m.Check, m.Version, m.Note))
	}
	if err := table(w, lines); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.Verdict)
	return err
}
