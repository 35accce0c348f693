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

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/pace"
	"resec/commands/takeover"
)

// exitRefused is switchover's own exit code: the request was refused, and the old master is still the master.
const exitRefused = 2

func (p *program) switchover() *cli.Command {
	var r cluster.Request
	var timeout time.Duration
	var asJSON bool
	extra := []setting{
		jsonFlag(&asJSON),
		{name: "to", takes: "an id or host:port", set: text(&r.To),
			usage: "member to promote: its id or its address; without it the replica with the most recent data"},
		{name: "timeout", def: "10s", usage: "time to wait until the member is master", takes: duration, set: positive(&timeout)},
		toggle(&r.DryRun, "dry-run", "false", "show which member would be promoted, or why none is; change nothing"),
	}
	return p.command("switchover", "",
		"make another member the master without losing a write",
		forConsul|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			if c.IsSet("to") && r.To == "" { // an empty variable in a script is no wish for any member
				return errors.New(`invalid value "" for -to: takes an id or host:port`)
			}
			client, err := cfg.operatorClient()
			if err != nil {
				return err
			}
			r.Planned = true
			return p.runSwitchover(c.Context, cfg, lock.Lock{Client: client, Key: cfg.lockKey}, r, timeout, asJSON)
		})
}

// runSwitchover makes the request, waits until it is carried out, and prints the steps. It returns an error with exitRefused if
// the request is refused, and with exitTimeout if it fails or takes too long.
func (p *program) runSwitchover(ctx context.Context, cfg *config, l lock.Lock, r cluster.Request, timeout time.Duration,
	asJSON bool) error {
	before, err := cfg.mayMove(ctx, l)
	if err != nil {
		return err
	}
	s := switchover{Request: r, old: *before.State.Master}
	steps := p.progress(before, asJSON || r.DryRun)
	var last cluster.View
	err = submit(ctx, l, r, timeout, func(v cluster.View) (bool, error) {
		steps.show(v)
		last = v
		return s.next(v)
	})
	switch {
	case errors.Is(err, lock.ErrRequestPending):
		return coded(exitRefused, err)
	case !carriedOut(err):
		return err
	case r.DryRun && asJSON:
		return errors.Join(err, printJSON(p.out, map[string]string{"answer": last.Answered.Answer}))
	case r.DryRun:
		_, printed := fmt.Fprintln(p.out, last.Answered.Answer)
		return errors.Join(err, printed)
	}
	return errors.Join(err, p.printSwitchover(ctx, l, *last.State.Master, asJSON))
}

// mayMove returns the view of the lock before a switchover. It returns an error with exitRefused if none is possible.
func (c *config) mayMove(ctx context.Context, l lock.Lock) (cluster.View, error) {
	before, err := l.Read(ctx)
	if err == nil {
		err = before.Err
	}
	if err == nil {
		err = c.checkCluster(before)
	}
	switch {
	case err != nil:
	case before.Pause.Active(time.Now()):
		err = coded(exitRefused, fmt.Errorf("refused: the cluster is %s; end that with resec resume", before.Pause))
	case before.Free() || before.State.Master == nil:
		err = coded(exitRefused, errors.New("refused: there is no master whose agent could hand over; resec status says why"))
	}
	return before, err
}

// switchover is the state of a switchover that is under way.
type switchover struct {
	cluster.Request
	old    cluster.Master
	target string // id of the member that the old master's agent has accepted; empty before that
}

// next reports whether the switchover is done, by the newest view. It returns an error with an exit code if it was refused or
// failed.
func (s *switchover) next(v cluster.View) (done bool, err error) {
	if a := v.Answered; a != nil {
		switch {
		case a.Accepted && s.DryRun:
			return true, nil
		case a.Accepted:
			return true, coded(exitTimeout, fmt.Errorf("failed: %s; resec status shows the master", a.Answer))
		}
		if a.To == s.old.ID {
			return true, coded(exitRefused, errors.New("refused: "+a.Answer))
		}
		return true, coded(exitRefused, fmt.Errorf("refused: %s; %s is still the master", a.Answer, s.old.ID))
	}
	if v.Request != nil {
		if v.Request.Accepted {
			s.target = v.Request.To
		}
		return false, nil
	}
	if m := v.State.Master; m != nil && m.Term > s.old.Term && s.wanted(*m) {
		return true, nil
	}
	return true, coded(exitTimeout, errors.New("the request has ended without a new master: see resec status"))
}

// wanted reports whether a new master is the one that was accepted or, as long as that is not known, the one that was asked for.
func (s *switchover) wanted(m cluster.Master) bool {
	if s.target != "" {
		return m.ID == s.target
	}
	return s.To == "" || s.To == m.ID || s.To == m.Address
}

// printSwitchover prints the steps and the result. The new master's agent writes them to the history right after the last step.
func (p *program) printSwitchover(ctx context.Context, l lock.Lock, m cluster.Master, asJSON bool) error {
	c, known := changeOf(ctx, l, m.Term)
	switch {
	case asJSON && known:
		return p.doneJSON(c)
	case asJSON:
		return p.doneJSON(map[string]any{"to": m.ID, "term": m.Term})
	case known:
		fmt.Fprintln(p.out, "since the takeover began:") // an error of stdout shows at the end
		printSteps(p.out, c.Steps)
		p.done("%s is master, term %d: writes were held back for %s", m.ID, m.Term, milliseconds(c.Outage))
	default:
		p.done("%s is master, term %d; for how long writes were held back is unknown", m.ID, m.Term)
	}
	return nil
}

// changeOf is the change in the history that began a term. It is unknown if the history does not have it in time.
func changeOf(ctx context.Context, l lock.Lock, term uint64) (c cluster.Change, known bool) {
	ctx, cancel := context.WithTimeout(ctx, pace.CallTimeout)
	defer cancel()
	for {
		changes, _ := l.History(ctx) // after an error it is read again
		if at := slices.IndexFunc(changes, func(c cluster.Change) bool { return c.Term == term }); at >= 0 {
			return changes[at], true
		}
		select {
		case <-ctx.Done():
			return c, false
		case <-time.After(requestPoll):
		}
	}
}

func printSteps(w io.Writer, steps []cluster.Step) {
	for _, s := range steps {
		if what := takeover.StepDescription(s.Name); what != "" {
			fmt.Fprintf(w, "%10s  %s\n", milliseconds(s.At), what)
		}
	}
}

// milliseconds is a short time in ms, and one from 10 s in seconds.
func milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
