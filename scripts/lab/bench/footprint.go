package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"resec/scripts/lab"
)

// settleFor is how long a cluster is left alone before it is called idle, idleFor how long it is looked at.
const settleFor, idleFor = 30 * time.Second, time.Minute

// footprints prints what an idle agent, and an idle Sentinel, take.
func footprints(ctx context.Context, l *lab.Lab) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| idle, the dearest of three\t| RSS, MB\t| CPU, % of a core\t| writes of one to Consul in 5 s\t| program, MB\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|")
	for _, sys := range []system{systems[0], systems[1]} {
		sub, s, err := fresh(l, sys, false)
		if err != nil {
			return err
		}
		err = footprint(ctx, t, s)
		sub.Close()
		if err != nil {
			return errors.Join(t.Flush(), err)
		}
	}
	return t.Flush()
}

func footprint(ctx context.Context, t *tabwriter.Writer, s *subject) error {
	var ps []*lab.Process
	for i := range s.Redis {
		ps = append(ps, s.keeper(i))
	}
	pause(ctx, settleFor)
	before, err := usage(ps)
	if err != nil {
		return err
	}
	index, err := commits(s.Consul)
	if err != nil {
		return err
	}
	pause(ctx, idleFor)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := usage(ps)
	if err != nil {
		return err
	}
	end, err := commits(s.Consul)
	if err != nil {
		return err
	}
	n := float64(len(ps))
	writes, program := "–", "–"
	if s.ours() {
		writes = fmt.Sprintf("%.2f", float64(end-index)/n/(idleFor.Seconds()/5))
		bin, err := lab.Resec()
		if err != nil {
			return err
		}
		info, err := os.Stat(bin)
		if err != nil {
			return err
		}
		program = fmt.Sprintf("%.1f", float64(info.Size())/1e6)
	}
	rss, cpu := 0.0, 0.0
	for i, u := range after {
		rss, cpu = max(rss, float64(u.RSS)/1e6), max(cpu, 100*(u.CPU-before[i].CPU).Seconds()/idleFor.Seconds())
	}
	fmt.Fprintf(t, "| %s\t| %.1f\t| %.2f\t| %s\t| %s\t|\n", s.name, rss, cpu, writes, program)
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// usage is what each of several processes takes.
func usage(ps []*lab.Process) (all []lab.Usage, err error) {
	for _, p := range ps {
		u, err := p.Usage()
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// commits is how many entries Consul's log has: one for each write, and few of its own.
func commits(c *lab.Consul) (uint64, error) {
	self, err := c.Client.Agent().Self()
	if err != nil {
		return 0, err
	}
	raft, _ := self["Stats"]["raft"].(map[string]any)
	index, _ := raft["commit_index"].(string)
	return strconv.ParseUint(index, 10, 64)
}
