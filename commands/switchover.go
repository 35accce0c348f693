package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
)

// exitRefused is switchover's own code: the old master leads as before.
const exitRefused = 2

// askAgain is the pause between two looks at what has become of a request.
const askAgain = 20 * time.Millisecond

func (p *program) switchover() *cli.Command {
	var r cluster.Request
	var timeout time.Duration
	extra := []setting{
		{name: "to", usage: "the member that shall lead: its id or its address (default: the one that lacks least)", takes: "an id or host:port", set: text(&r.To)},
		{name: "timeout", def: "10s", usage: "how long to wait until it leads", takes: duration, set: positive(&timeout)},
		toggle(&r.DryRun, "dry-run", "false", "ask the master's agent who would lead, or why not; change nothing"),
	}
	return p.command("switchover", "", "make another member the master, without losing a write: exit 0 done, 2 refused, 4 failed or not in time",
		forConsul|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			client, err := cfg.client()
			if err != nil {
				return err
			}
			r.Planned = true
			return p.runSwitchover(c.Context, cfg, lock.Lock{Client: client, Key: cfg.lockKey}, r, timeout)
		})
}

func (p *program) runSwitchover(ctx context.Context, cfg *config, l lock.Lock, r cluster.Request, timeout time.Duration) (err error) {
	before, err := l.Read(ctx)
	switch {
	case err != nil:
		return err
	case before.Err != nil:
		return before.Err
	case before.CheckService(cfg.naming.Name(catalog.Master)) != nil:
		return before.CheckService(cfg.naming.Name(catalog.Master))
	case before.Pause.Active(time.Now()):
		return coded(exitRefused, fmt.Errorf("refused: the cluster is %s", before.Pause))
	case before.Free() || before.State.Master == nil:
		return coded(exitRefused, errors.New("refused: there is no master whose agent could hand over"))
	}
	end, err := l.CreateRequest(ctx, r)
	if errors.Is(err, lock.ErrRequestPending) {
		return coded(exitRefused, err)
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(context.WithoutCancel(ctx))) }()
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for accepted := ""; ; {
		v, err := l.Read(wait)
		switch m := v.State.Master; {
		case err != nil: // asked again
		case v.Answered != nil && v.Answered.Accepted && r.DryRun:
			fmt.Fprintln(p.stdout, v.Answered.Answer)
			return nil
		case v.Answered != nil && v.Answered.Accepted:
			return coded(exitTimeout, fmt.Errorf("failed: %s; see resec status for who leads now", v.Answered.Answer))
		case v.Answered != nil:
			return coded(exitRefused, fmt.Errorf("refused: %s; %s leads as before", v.Answered.Answer, before.State.Master.ID))
		case v.Request != nil && v.Request.Accepted:
			accepted = v.Request.To
		case v.Request == nil && m != nil && m.Term > before.State.Term() && (m.ID == accepted || accepted == "" && (r.To == "" || r.To == m.ID || r.To == m.Address)):
			return p.drawSwitchover(ctx, l, *m)
		case v.Request == nil:
			return coded(exitTimeout, errors.New("the request is gone, and nobody new leads: see resec status"))
		}
		select {
		case <-wait.Done():
			if ctx.Err() != nil {
				return coded(exitTimeout, errors.New("interrupted: the request is withdrawn; see resec status"))
			}
			return coded(exitTimeout, fmt.Errorf("nobody new leads after %s: the request is withdrawn; see resec status", timeout))
		case <-time.After(askAgain):
		}
	}
}

// drawSwitchover shows the steps, which the new master's agent writes right after the last of them.
func (p *program) drawSwitchover(ctx context.Context, l lock.Lock, m cluster.Master) error {
	ctx, cancel := context.WithTimeout(ctx, lock.CallTimeout)
	defer cancel()
	for {
		all, _ := l.History(ctx) // where Consul does not tell it is asked again
		if at := slices.IndexFunc(all, func(c cluster.Change) bool { return c.Term == m.Term }); at >= 0 {
			drawSteps(p.stdout, all[at].Steps)
			_, err := fmt.Fprintf(p.stdout, "%s is master, term %d: writes were held back for %s\n", m.ID, m.Term, milliseconds(all[at].Outage))
			return err
		}
		select {
		case <-ctx.Done():
			_, err := fmt.Fprintf(p.stdout, "%s is master, term %d; how long that took is not known\n", m.ID, m.Term)
			return err
		case <-time.After(askAgain):
		}
	}
}

func drawSteps(w io.Writer, steps []cluster.Step) {
	for _, s := range steps {
		if what := takeover.StepDescription(s.Name); what != "" {
			fmt.Fprintf(w, "%10s  %s\n", milliseconds(s.At), what)
		}
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
