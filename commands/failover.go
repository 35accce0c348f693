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
)

// failoverOptions are the flags of failover alone.
type failoverOptions struct {
	to            string
	force, dryRun bool
	json          bool
	timeout       time.Duration
}

func (p *program) failover() *cli.Command {
	var o failoverOptions
	extra := []setting{
		{name: "to", usage: "member to promote: its id or its address", takes: "an id or host:port", set: text(&o.to)},
		toggle(&o.force, "force", "false",
			"promote the member whatever data it has; every other member is overwritten by its data, once"),
		toggle(&o.dryRun, "dry-run", "false", "show the ranking of the members, and with -to what is lost; change nothing"),
		jsonFlag(&o.json),
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
	client, err := cfg.operatorClient()
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
	report := ranking(rows)
	if !o.json {
		if err := printRanking(p.out, rows); err != nil {
			return err
		}
	}
	if o.to == "" {
		return p.finishPreview(report, o.json)
	}
	at := slices.IndexFunc(rows, func(r failover.Row) bool { return r.ID == o.to || r.Address == o.to })
	if at < 0 {
		return fmt.Errorf("invalid value %q for -to: takes the id or the address of a member, see resec status", o.to)
	}
	target := rows[at]
	report.To, report.Losses = target.ID, failover.DataLoss(rows, target.ID)
	if !o.json {
		fmt.Fprintf(p.out, "with %s as master:\n  %s\n", target.ID, strings.Join(report.Losses, "\n  "))
	}
	if o.dryRun {
		return p.finishPreview(report, o.json)
	}
	if why := failover.IneligibleReason(target, view); why != "" {
		return fmt.Errorf("%s cannot be made master: %s", target.ID, why)
	}
	l := lock.Lock{Client: client, Key: cfg.lockKey}
	return p.force(ctx, l, view, forcedRequest(rows, target.ID), o, report)
}

// finishPreview prints the report, if as JSON.
func (p *program) finishPreview(report failoverReport, asJSON bool) error {
	if !asJSON {
		return nil
	}
	return printJSON(p.out, report)
}

// failoverReport is what failover -json prints.
type failoverReport struct {
	Ranking []rankedMember `json:"ranking"`
	To      string         `json:"to,omitempty"`     // the member of -to
	Losses  []string       `json:"losses,omitempty"` // what each other member loses when it replicates from that one
	Term    uint64         `json:"term,omitempty"`   // of the new master; absent with -dry-run
	Took    time.Duration  `json:"took_ns,omitempty"`
}

// rankedMember is one row of the ranking.
type rankedMember struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Rank    int    `json:"rank,omitempty"` // from 1; absent: it may not lead
	Keys    int64  `json:"keys"`
	Bytes   int64  `json:"bytes"`
	ReplID  string `json:"replid"`
	Offset  int64  `json:"offset"`
	Why     string `json:"why,omitempty"`
}

func ranking(rows []failover.Row) failoverReport {
	r := failoverReport{Ranking: []rankedMember{}}
	for _, row := range rows {
		st := row.Status
		r.Ranking = append(r.Ranking, rankedMember{ID: row.ID, Address: row.Address, Rank: row.Rank, Keys: st.Keys, Bytes: st.Dataset,
			ReplID: st.Position.ReplID, Offset: st.Position.Offset, Why: row.Why})
	}
	return r
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

// force makes the request, waits until it is carried out, and prints each step and the result. before is the present view.
func (p *program) force(ctx context.Context, l lock.Lock, before cluster.View, r cluster.Request, o failoverOptions,
	report failoverReport) error {
	began := time.Now()
	steps := p.progress(before, o.json)
	err := submit(ctx, l, r, o.timeout, func(v cluster.View) (bool, error) {
		steps.show(v)
		done, err := failoverDone(v, r.To, before.State.Term())
		report.Term, report.Took = v.State.Term(), time.Since(began)
		return done, coded(exitTimeout, err)
	})
	if !carriedOut(err) {
		return err
	}
	if o.json {
		return errors.Join(err, p.doneJSON(report))
	}
	p.done("%s is master, term %d, after %s", r.To, report.Term, report.Took.Round(time.Millisecond))
	return err
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
	view, err := lock.Lock{Client: client, Key: c.lockKey}.Read(ctx)
	if err != nil {
		return view, nil, err
	}
	entries, err := c.naming.Instances(ctx, client)
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
