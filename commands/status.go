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

// exitUnknown is status's own exit code: Consul does not answer.
const exitUnknown = 3

// statusTimeout bounds the probe of each member's Redis.
const statusTimeout = time.Second

func (p *program) status() *cli.Command {
	var asJSON, watch bool
	extra := []setting{
		toggle(&asJSON, "json", "false", "print JSON"),
		toggle(&watch, "watch", "false", "print again every second until interrupted, then exit 0; with -json one document a line"),
	}
	return p.command("status", "",
		"show the members and a verdict; exit 0: healthy, 1: degraded, 2: no master, 3: Consul does not answer",
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
		err = printStatus(p.stdout, report)
	}
	if err == nil && report.Code != 0 {
		err = codeError{code: report.Code}
	}
	return err
}

// report asks Consul and every Redis for the state of the cluster. It returns an error if Consul does not answer.
func (c *config) report(ctx context.Context, client *api.Client) (status.Report, error) {
	view, answers, err := c.survey(ctx, client)
	if err != nil {
		return status.Report{}, err
	}
	return status.New(view, answers), nil
}

// watchPause is the pause between two reports of status -watch.
const watchPause = time.Second

// clearScreen moves the cursor of a terminal to its first line and clears the screen.
const clearScreen = "\x1b[H\x1b[2J"

// watchStatus prints the cluster until the context ends, also while Consul does not answer. It returns an error if it cannot
// write.
func (p *program) watchStatus(ctx context.Context, cfg *config, asJSON bool) error {
	client, err := cfg.client()
	if err != nil {
		return err
	}
	first, between := "", "\n"
	if isTerminal(p.stdout) {
		first, between = clearScreen, clearScreen
	}
	if asJSON {
		first, between = "", ""
	}
	for separator := first; ; separator = between {
		report, err := cfg.report(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			report = status.Report{Code: exitUnknown, Verdict: "unknown: cannot read the cluster from consul: " + err.Error()}
		}
		out := bytes.NewBufferString(separator) // written in one piece, so that a screen does not flicker
		if err := encodeStatus(out, report, asJSON); err != nil {
			return err
		}
		if _, err := out.WriteTo(p.stdout); err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// encodeStatus writes one document or one screen of status -watch.
func encodeStatus(w io.Writer, r status.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	if r.Code == exitUnknown {
		_, err := fmt.Fprintln(w, printable(r.Verdict))
		return err
	}
	return printStatus(w, r)
}

// printStatus writes the table of members and the verdict.
func printStatus(w io.Writer, r status.Report) error {
	t := newTable("ID", "ADDRESS", "ROLE", "LOCK", "TERM", "LINK", "OFFSET", "BEHIND", "GUARD", "CHECK", "REDIS",
		"FROM", "NOTE")
	for _, m := range r.Members {
		held, behind := "", ""
		if m.Holder {
			held = "held"
		}
		if m.Behind != nil {
			behind = strconv.FormatInt(*m.Behind, 10)
		}
		from := m.Source
		if m.Age != nil {
			from = fmt.Sprintf("%s, %.1f s ago", m.Source, *m.Age)
		}
		t.row(m.ID, m.Address, m.Role, held, strconv.FormatUint(m.Term, 10), m.Link, strconv.FormatInt(m.Offset, 10), behind,
			m.Guard, m.Check, m.Version, from, m.Note)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintln(w, "warning: "+printable(warning)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, printable(r.Verdict))
	return err
}

// isTerminal reports whether w is a character device: a terminal, or /dev/null, to which nothing matters.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
