package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/ryanuber/columnize"
	"github.com/urfave/cli/v2"

	"resec/commands/lock"
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

// report asks Consul, then every Redis that it knows of, all at once.
func (c *config) report(ctx context.Context, client *api.Client) (status.Report, error) {
	view, err := lock.Lock{Client: client, Key: c.lockKey}.Read(ctx)
	if err != nil {
		return status.Report{}, err
	}
	entries, err := c.naming.Instances(ctx, client)
	if err != nil {
		return status.Report{}, err
	}
	opt := c.redis("status")
	opt.Timeout = statusAsk
	return status.New(view, status.Ask(ctx, lock.Members(entries, view.State), opt)), nil
}

// draw writes the table and the verdict.
func draw(w io.Writer, r status.Report) error {
	lines := []string{"ID|ADDRESS|ROLE|LOCK|TERM|LINK|OFFSET|BEHIND|CHECK|REDIS|NOTE"}
	for _, m := range r.Members {
		held, behind := "", ""
		if m.Holder {
			held = "held"
		}
		if m.Behind != nil {
			behind = strconv.FormatInt(*m.Behind, 10)
		}
		cells := []string{m.ID, m.Address, m.Role, held, strconv.FormatUint(m.Term, 10), m.Link, strconv.FormatInt(m.Offset, 10), behind, m.Check, m.Version, m.Note}
		for i := range cells {
			cells[i] = strings.NewReplacer("|", "/", "\n", " ").Replace(cells[i])
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	conf := columnize.DefaultConfig()
	conf.Empty = "-"
	_, err := fmt.Fprintf(w, "%s\n%s\n", columnize.Format(lines, conf), r.Verdict)
	return err
}
