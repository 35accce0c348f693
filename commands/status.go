package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/cluster"
	"resec/commands/status"
)

// exitUnknown is status's own exit code: Consul does not answer.
const exitUnknown = 3

// statusTimeout bounds the probe of each member's Redis.
const statusTimeout = time.Second

// statusOptions are the flags of status alone.
type statusOptions struct {
	json, watch, wide bool
	wait              time.Duration // 0: not at all
}

func (p *program) status() *cli.Command {
	var o statusOptions
	extra := []setting{
		toggle(&o.json, "json", "false", "print JSON"),
		toggle(&o.watch, "watch", "false", "print the time and the status every second until interrupted, then exit 0; "+
			"with -json one document a line"),
		toggle(&o.wide, "wide", "false", "show all columns"),
		{name: "wait", usage: "wait so long for a healthy cluster before the status is printed", takes: duration,
			set: orNone(positive(&o.wait))},
	}
	return p.command("status", "",
		"show the members and a verdict",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			if o.watch && o.wait > 0 {
				return errors.New("status takes -watch or -wait, not both")
			}
			if o.watch {
				return p.watchStatus(c.Context, cfg, o)
			}
			return p.runStatus(c.Context, cfg, o)
		})
}

func (p *program) runStatus(ctx context.Context, cfg *config, o statusOptions) error {
	client, err := cfg.operatorClient()
	if err != nil {
		return err
	}
	waits := ""
	report, err := waitHealthy(ctx, o.wait, func() (status.Report, error) {
		r, err := cfg.report(ctx, client)
		if o.wait > 0 && err == nil && r.Code != status.Healthy && r.Verdict != waits && isTerminal(p.stderr) {
			waits = r.Verdict
			fmt.Fprintln(p.stderr, "waiting: "+printable(waits))
		}
		return r, err
	})
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(p.out, report)
	} else {
		err = printStatus(p.out, report, o.wide)
	}
	if err == nil && report.Code != 0 {
		err = codeError{code: report.Code}
	}
	return err
}

// waitHealthy returns the first report of a healthy cluster, or the last one after the time or the end of the context.
func waitHealthy(ctx context.Context, limit time.Duration, report func() (status.Report, error)) (status.Report, error) {
	for end := time.Now().Add(limit); ; {
		r, err := report()
		left := time.Until(end)
		if err == nil && r.Code == status.Healthy || errors.Is(err, cluster.ErrOtherCluster) || left <= 0 {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, err
		case <-time.After(min(statusPause, left)):
		}
	}
}

// report asks Consul and every Redis for the state of the cluster. It returns an error with exitUnknown if Consul does not
// answer, and cluster.ErrOtherCluster if the state belongs to a cluster with another master service.
func (c *config) report(ctx context.Context, client *api.Client) (status.Report, error) {
	view, answers, err := c.survey(ctx, client)
	if err != nil {
		return status.Report{}, coded(exitUnknown, err)
	}
	if err := c.checkCluster(view); errors.Is(err, cluster.ErrOtherCluster) {
		return status.Report{}, err
	}
	return status.New(view, answers), nil
}

// statusPause is the pause between two reports of status -wait, watchPause of status -watch.
const statusPause, watchPause = 200 * time.Millisecond, time.Second

// clearScreen moves the cursor of a terminal to its first line and clears the screen.
const clearScreen = "\x1b[H\x1b[2J"

// watchStatus prints the cluster until the context ends, also while Consul does not answer. It returns an error if it cannot
// write.
func (p *program) watchStatus(ctx context.Context, cfg *config, o statusOptions) error {
	client, err := cfg.operatorClient()
	if err != nil {
		return err
	}
	first, between := "", "\n"
	if isTerminal(p.stdout) {
		first, between = clearScreen, clearScreen
	}
	if o.json {
		first, between = "", ""
	}
	for separator := first; ; separator = between {
		report, err := cfg.report(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, cluster.ErrOtherCluster) {
			return err
		}
		if err != nil {
			report = status.Report{Code: exitUnknown, Members: []status.Member{},
				Verdict: "unknown: cannot read the cluster from consul: " + withoutPage(err) + consulHint(err)}
		}
		out := bytes.NewBufferString(separator) // written in one piece, so that a screen does not flicker
		if !o.json {
			fmt.Fprintln(out, time.Now().Format(time.RFC3339))
		}
		if err := encodeStatus(out, report, o, coloured(p.stdout)); err != nil {
			return err
		}
		if _, err := out.WriteTo(p.out); err != nil {
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
func encodeStatus(w io.Writer, r status.Report, o statusOptions, colour bool) error {
	if o.json {
		return json.NewEncoder(w).Encode(r)
	}
	if r.Code == exitUnknown {
		_, err := fmt.Fprintln(w, printable(r.Verdict))
		return err
	}
	return writeStatus(w, r, o.wide, colour)
}

// printStatus writes the table of members and the verdict to stdout, with colour if that is a terminal.
func printStatus(w io.Writer, r status.Report, wide bool) error {
	return writeStatus(w, r, wide, coloured(w))
}

// writeStatus writes the table of members, warnings and the verdict. The columns that are seldom needed are there if wide is set.
func writeStatus(w io.Writer, r status.Report, wide, colour bool) error {
	t := memberTable(r.Members)
	if !wide {
		t.without("TERM", "OFFSET", "REDIS", "FROM")
	}
	if len(r.Members) > 0 {
		if err := t.write(w); err != nil {
			return err
		}
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintln(w, "warning: "+printable(warning)); err != nil {
			return err
		}
	}
	verdict := printable(r.Verdict)
	if colour {
		verdict = colours[r.Code] + verdict + noColour
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func memberTable(members []status.Member) *table {
	t := newTable("ID", "ADDRESS", "ROLE", "LOCK", "TERM", "LINK", "OFFSET", "BEHIND", "GUARD", "CHECK", "REDIS",
		"FROM", "NOTE")
	for _, m := range members {
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
	return t
}

// colours are the ANSI sequences for a verdict, by its code: green, yellow, red.
var colours = map[int]string{
	status.Healthy: "\x1b[32m", status.Degraded: "\x1b[33m", status.NoMaster: "\x1b[31m", exitUnknown: "\x1b[31m",
}

const noColour = "\x1b[0m"
