package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"resec/scripts/lab"
)

// clientFaults are what each client of Sentinel's protocol writes through.
var clientFaults = []string{"switchover", "left", "crash", "freeze"}

// frozenConsul is for how long Consul hangs while each client writes.
const frozenConsul = 10 * time.Second

// clientTable prints for each client library and fault how long no write was acknowledged: through the agents' endpoints, and with
// a real Sentinel. A program is started once for each system, and sees all faults without a restart.
func clientTable(ctx context.Context, l *lab.Lab, runs int) error {
	rows := map[string]map[string][]float64{} // by program, then by fault and system
	var failed error
	for _, program := range lab.SentinelClients {
		rows[program] = map[string][]float64{}
		for _, sys := range []system{{name: "resec", endpoints: true}, systems[1]} {
			for range runs {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := throughFaults(ctx, l, program, sys, rows[program]); err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", program, sys.name, err))
				}
			}
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	columns := append(slices.Clone(clientFaults), "consul")
	fmt.Fprintf(t, "| resec / sentinel 1000, ms\t| %s\t|\n|%s\n", strings.Join(columns, "\t| "), strings.Repeat("---\t|", len(columns)+1))
	for _, program := range lab.SentinelClients {
		fmt.Fprintf(t, "| %s", program)
		for _, fault := range columns {
			fmt.Fprintf(t, "\t| %s / %s", medianText(rows[program][fault+" resec"]), medianText(rows[program][fault+" "+systems[1].name]))
		}
		fmt.Fprintln(t, "\t|")
	}
	return errors.Join(t.Flush(), failed)
}

func medianText(all []float64) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", middle(all))
}

// middle is the upper one of an even number.
func middle(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// throughFaults starts a cluster and a program, and notes how long each fault stopped its writes.
func throughFaults(ctx context.Context, l *lab.Lab, program string, sys system, out map[string][]float64) error {
	own, s, err := fresh(l, sys, false)
	if err != nil {
		return err
	}
	defer own.Close()
	name, addrs := s.Name, []string(nil)
	for i := range s.Redis {
		addrs = append(addrs, s.SentinelAddr(i))
	}
	if !sys.ours() {
		name = "bench"
	}
	w, err := s.StartClient(ctx, program, name, addrs...)
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := wrote(ctx, w, 100); err != nil {
		return err
	}
	for _, sc := range scenarios {
		if slices.Contains(clientFaults, sc.name) {
			if err := throughFault(ctx, s, sc, w, out); err != nil {
				return fmt.Errorf("%s: %w: %v", sc.name, err, w.Errors())
			}
		}
	}
	if !sys.ours() {
		return nil
	}
	from := time.Now()
	s.Consul.Freeze()
	pause(ctx, frozenConsul)
	s.Consul.Thaw()
	out["consul "+sys.name] = append(out["consul "+sys.name], longest(w, from, time.Now()))
	return s.whole(recoverFor)
}

func throughFault(ctx context.Context, s *subject, sc scenario, w *lab.Writer, out map[string][]float64) error {
	m, err := s.Linked()
	if err != nil {
		return err
	}
	old, at := s.Redis[m].Addr, time.Now()
	if err := sc.do(ctx, s, m); err != nil {
		return err
	}
	if err := lab.Until(ctx, recoverFor, func() error {
		if now, err := s.find(ctx); !(sc.keeps && !s.ours()) && (err != nil || now == old) {
			return fmt.Errorf("the master is still %q: %w", now, err)
		}
		return nil
	}); err != nil {
		return err
	}
	n := w.Acked()
	if err := lab.Until(ctx, recoverFor, func() error { return w.Wrote(n + 50) }); err != nil {
		return err
	}
	took := longest(w, at, time.Now())
	fmt.Fprintf(os.Stderr, "%-14s %-15s %-11s %8.0f ms\n", s.name, sc.name, "", took)
	out[sc.name+" "+s.name] = append(out[sc.name+" "+s.name], took)
	if sc.undo != nil {
		if err := sc.undo(s, m); err != nil {
			return err
		}
	}
	return s.whole(recoverFor)
}
