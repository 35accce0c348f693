package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	var asJSON, watch bool
	extra := []setting{
		toggle(&asJSON, "json", "false", "write JSON"),
		toggle(&watch, "watch", "false", "show it anew each second until interrupted, then exit 0; with -json one document a line"),
	}
	return p.command("status", "", "one row a member, and a verdict: exit 0 healthy, 1 degraded, 2 no master, 3 Consul does not answer",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			if watch {
				return p.watchStatus(c.Context, cfg, asJSON)
			}
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

// statusEvery is the pause between two looks of status -watch.
const statusEvery = time.Second

// watchStatus shows the cluster until the context ends. A Consul that does not answer is shown, too.
func (p *program) watchStatus(ctx context.Context, cfg *config, asJSON bool) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	screen := terminal(p.stdout)
	for first := true; ; first = false {
		report, err := cfg.report(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			report = status.Report{Code: exitUnknown, Verdict: "unknown: consul does not tell: " + err.Error()}
		}
		var out bytes.Buffer // written at once: a screen does not flicker
		switch {
		case screen && !asJSON:
			out.WriteString("\x1b[H\x1b[2J")
		case !first && !asJSON:
			out.WriteString("\n")
		}
		switch {
		case asJSON:
			err = json.NewEncoder(&out).Encode(report)
		case err != nil:
			_, err = fmt.Fprintln(&out, plain(report.Verdict))
		default:
			err = draw(&out, report)
		}
		if err == nil {
			_, err = p.stdout.Write(out.Bytes())
		}
		if err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(statusEvery):
		}
	}
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
	_, err := fmt.Fprintln(w, plain(r.Verdict))
	return err
}

// terminal tells whether somebody looks at a screen, or it does not matter, as with /dev/null.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
