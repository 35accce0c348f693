package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"
	"github.com/ryanuber/columnize"
	"github.com/urfave/cli/v2"

	"resec/commands/cluster"
	"resec/commands/failover"
	"resec/commands/lock"
	"resec/commands/status"
)

// failoverOptions are the flags that failover alone has.
type failoverOptions struct {
	to            string
	force, dryRun bool
	timeout       time.Duration
}

func (p *program) failover() *cli.Command {
	var o failoverOptions
	extra := []setting{
		{name: "to", usage: "the member that shall lead: its id or its address", takes: "an id or host:port", set: text(&o.to)},
		toggle(&o.force, "force", "false", "make it lead whatever it holds, and the others follow it whatever that wipes, once"),
		toggle(&o.dryRun, "dry-run", "false", "show who would lead and why, and with -to what that costs; change nothing"),
		{name: "timeout", def: "30s", usage: "how long to wait until it leads", takes: duration, set: positive(&o.timeout)},
	}
	return p.command("failover", "", "make a certain member lead by force, or show who would (-dry-run)",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			return p.runFailover(c.Context, cfg, o)
		})
}

func (p *program) runFailover(ctx context.Context, cfg *config, o failoverOptions) error {
	switch {
	case o.to == "" && !o.dryRun:
		return errors.New("failover takes -to ID with -force, or -dry-run")
	case !o.force && !o.dryRun:
		return fmt.Errorf("failover -to %s takes -force: it makes that member lead whatever it holds; -dry-run shows what that costs", o.to)
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	view, answers, err := cfg.survey(ctx, client)
	if err != nil {
		return err
	}
	if view.Err != nil {
		return view.Err
	}
	if view.Pause.Active(time.Now()) && !o.dryRun {
		return fmt.Errorf("the cluster is %s: resume it first", view.Pause)
	}
	rows := failover.Rows(view, answers)
	if err := p.drawRanking(rows); err != nil || o.to == "" {
		return err
	}
	at := slices.IndexFunc(rows, func(r failover.Row) bool { return r.ID == o.to || r.Address == o.to })
	if at < 0 {
		return fmt.Errorf("invalid value %q for -to: takes one of the members above", o.to)
	}
	to := rows[at].ID
	fmt.Fprintf(p.stdout, "with %s as master:\n  %s\n", to, strings.Join(failover.DataLoss(rows, to), "\n  "))
	if o.dryRun {
		return nil
	}
	if why := failover.IneligibleReason(rows[at], view); why != "" {
		return fmt.Errorf("%s cannot be made to lead: %s", to, why)
	}
	r := cluster.Request{To: to}
	for _, row := range rows {
		if row.ID != to {
			r.ForceFollow = append(r.ForceFollow, row.ID)
		}
	}
	return p.force(ctx, lock.Lock{Client: client, Key: cfg.lockKey}, view, r, o.timeout)
}

// force asks for it, and waits until it is done.
func (p *program) force(ctx context.Context, l lock.Lock, before cluster.View, r cluster.Request, timeout time.Duration) error {
	end, err := l.CreateRequest(ctx, r)
	if err != nil {
		return err
	}
	began := time.Now()
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var term uint64
	for {
		v, err := l.Read(wait)
		if m := v.State.Master; err == nil && m != nil && m.ID == r.To && m.Term > before.State.Term() && v.Request == nil {
			term = m.Term
			break
		} else if err == nil && v.Answered != nil {
			return coded(exitTimeout, errors.Join(fmt.Errorf("%s did not come to lead: %s", r.To, v.Answered.Answer), end(context.WithoutCancel(ctx))))
		} else if err == nil && v.Request == nil {
			return coded(exitTimeout, errors.Join(fmt.Errorf("%s did not come to lead: its agent gave that up, or another request came between; its log says why", r.To), end(context.WithoutCancel(ctx))))
		}
		select {
		case <-wait.Done():
			err = fmt.Errorf("%s does not lead after %s; its agent's log says why", r.To, timeout)
			if ctx.Err() != nil {
				err = errors.New("interrupted: the request is withdrawn")
			}
			return coded(exitTimeout, errors.Join(err, end(context.WithoutCancel(ctx))))
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := end(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("end the request: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s is master, term %d, after %s\n", r.To, term, time.Since(began).Round(time.Millisecond))
	return nil
}

// survey asks Consul, then every Redis that it knows of, all at once.
func (c *config) survey(ctx context.Context, client *api.Client) (cluster.View, []status.MemberStatus, error) {
	view, err := lock.Lock{Client: client, Key: c.lockKey}.Read(ctx)
	if err != nil {
		return view, nil, err
	}
	entries, err := c.naming.Instances(ctx, client)
	if err != nil {
		return view, nil, err
	}
	opt := c.redis("status")
	opt.Timeout = statusAsk
	return view, status.Probe(ctx, cluster.Members(entries, view), opt), nil
}

func (p *program) drawRanking(rows []failover.Row) error {
	lines := []string{"RANK|ID|ADDRESS|KEYS|BYTES|LINEAGE|OFFSET|WHY"}
	for _, r := range rows {
		rank, st := "", r.Status
		if r.Rank > 0 {
			rank = strconv.Itoa(r.Rank)
		}
		lines = append(lines, row(rank, r.ID, r.Address, strconv.FormatInt(st.Keys, 10), strconv.FormatInt(st.Dataset, 10),
			fmt.Sprintf("%.8s", st.Position.ReplID), strconv.FormatInt(st.Position.Offset, 10), r.Why))
	}
	return table(p.stdout, lines)
}

// row is a line of a table. What stands in it is anybody's who may write to Consul: no terminal is told anything by it.
func row(cells ...string) string {
	for i := range cells {
		cells[i] = strings.ReplaceAll(plain(cells[i]), "|", "/")
	}
	return strings.Join(cells, "|")
}

// plain is a text without what is not printed.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func table(w io.Writer, lines []string) error {
	conf := columnize.DefaultConfig()
	conf.Empty = "-"
	_, err := fmt.Fprintln(w, columnize.Format(lines, conf))
	return err
}
