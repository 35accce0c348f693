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

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/cluster"
	"resec/commands/failover"
	"resec/commands/lock"
	"resec/commands/status"
	"resec/handlers"
)

// failoverOptions are the flags of failover alone.
type failoverOptions struct {
	to            string
	force, dryRun bool
	timeout       time.Duration
}

func (p *program) failover() *cli.Command {
	var o failoverOptions
	extra := []setting{
		{name: "to", usage: "member to promote: its id or its address", takes: "an id or host:port", set: text(&o.to)},
		toggle(&o.force, "force", "false",
			"promote the member whatever data it has; every other member is overwritten by its data, once"),
		toggle(&o.dryRun, "dry-run", "false", "show the ranking of the members, and with -to what is lost; change nothing"),
		{name: "timeout", def: "30s", usage: "time to wait until the member is master", takes: duration,
			set: positive(&o.timeout)},
	}
	return p.command("failover", "", "promote a member against the protocol (-force), or show the ranking (-dry-run)",
		forConsul|forRedis|forCluster, extra, func(c *cli.Context, cfg *config, _ *slog.Logger) error {
			return p.runFailover(c.Context, cfg, o)
		})
}

func (p *program) runFailover(ctx context.Context, cfg *config, o failoverOptions) error {
	if o.to == "" && !o.dryRun {
		return errors.New("failover takes -to ID with -force, or -dry-run")
	}
	if !o.force && !o.dryRun {
		return fmt.Errorf("failover -to %s takes -force: it promotes that member whatever data it has; -dry-run shows what is lost",
			o.to)
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
	if err := printRanking(p.stdout, rows); err != nil || o.to == "" {
		return err
	}
	at := slices.IndexFunc(rows, func(r failover.Row) bool { return r.ID == o.to || r.Address == o.to })
	if at < 0 {
		return fmt.Errorf("invalid value %q for -to: takes one of the members above", o.to)
	}
	target := rows[at]
	fmt.Fprintf(p.stdout, "with %s as master:\n  %s\n", target.ID, strings.Join(failover.DataLoss(rows, target.ID), "\n  "))
	if o.dryRun {
		return nil
	}
	if why := failover.IneligibleReason(target, view); why != "" {
		return fmt.Errorf("%s cannot be made master: %s", target.ID, why)
	}
	return p.force(ctx, lock.Lock{Client: client, Key: cfg.lockKey}, view.State.Term(), forcedRequest(rows, target.ID), o.timeout)
}

// forcedRequest asks for a member as master, and for all others to replicate from it whatever that overwrites.
func forcedRequest(rows []failover.Row, to string) cluster.Request {
	r := cluster.Request{To: to}
	for _, row := range rows {
		if row.ID != to {
			r.ForceFollow = append(r.ForceFollow, row.ID)
		}
	}
	return r
}

// force makes the request, waits until it is carried out, and prints the result. term is that of the present master.
func (p *program) force(ctx context.Context, l lock.Lock, term uint64, r cluster.Request, timeout time.Duration) error {
	began := time.Now()
	return submit(ctx, l, r, timeout, func(v cluster.View) (bool, error) {
		done, err := failoverDone(v, r.To, term)
		if !done {
			return false, coded(exitTimeout, err)
		}
		took := time.Since(began).Round(time.Millisecond)
		p.done("%s is master, term %d, after %s", r.To, v.State.Term(), took)
		return true, nil
	})
}

// failoverDone reports whether a forced failover was carried out, or returns an error if it will not be.
func failoverDone(v cluster.View, to string, term uint64) (bool, error) {
	if v.Request != nil {
		return false, nil
	}
	if m := v.State.Master; m != nil && m.ID == to && m.Term > term {
		return true, nil
	}
	if v.Answered != nil {
		return false, fmt.Errorf("%s did not become master: %s", to, v.Answered.Answer)
	}
	return false, fmt.Errorf("%s did not become master: its agent gave up, or another request replaced this one; its log says why",
		to)
}

// survey reads the lock, the state and the catalogue, then asks every known Redis at once. It returns an error if Consul does not
// answer.
func (c *config) survey(ctx context.Context, client *api.Client) (cluster.View, []status.MemberStatus, error) {
	var view cluster.View
	var entries []handlers.Entry
	err := whileConsulRefuses(ctx, func() (err error) {
		if view, err = (lock.Lock{Client: client, Key: c.lockKey}).Read(ctx); err == nil {
			entries, err = c.naming.Instances(ctx, client)
		}
		return err
	})
	if err != nil {
		return view, nil, err
	}
	opt := c.redis("status").WithTimeout(statusTimeout)
	return view, status.Identify(view, status.Probe(ctx, cluster.Members(entries, view), view, opt)), nil
}

// printRanking prints the members in the order in which they would acquire a free lock.
func printRanking(w io.Writer, rows []failover.Row) error {
	t := newTable("RANK", "ID", "ADDRESS", "KEYS", "BYTES", "REPLID", "OFFSET", "WHY")
	for _, r := range rows {
		rank, st := "", r.Status
		if r.Rank > 0 {
			rank = strconv.Itoa(r.Rank)
		}
		t.row(rank, r.ID, r.Address, strconv.FormatInt(st.Keys, 10), strconv.FormatInt(st.Dataset, 10),
			fmt.Sprintf("%.8s", st.Position.ReplID), strconv.FormatInt(st.Position.Offset, 10), r.Why)
	}
	return t.write(w)
}
