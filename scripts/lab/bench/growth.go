package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/scripts/lab"
)

// size is what so many clusters on one Consul server have shown, for the chart that scripts/pictures draws.
type size struct {
	Clusters int     `json:"clusters"`
	One      float64 `json:"one_ms"` // median outage when one cluster fails
	All      float64 `json:"all_ms"` // when all fail at once
}

// growth prints what one Consul server carries: what failovers cost when it has so many clusters of three.
func growth(ctx context.Context, l *lab.Lab, sizes []int, runs int, mediansFile string) error {
	var medians []size
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| clusters\t| Consul, % of a core, idle\t| HTTP requests a second, idle\t| writes a second, idle\t| outage when one fails, ms\t| when all fail at once, ms\t| Consul, % of a core, meanwhile\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, n := range sizes {
		m, err := grow(ctx, t, l, n, runs)
		if err != nil {
			return errors.Join(t.Flush(), fmt.Errorf("%d clusters: %w", n, err))
		}
		medians = append(medians, m)
	}
	return errors.Join(t.Flush(), writeJSON(mediansFile, medians))
}

func grow(ctx context.Context, t *tabwriter.Writer, parent *lab.Lab, n, runs int) (m size, err error) {
	dir, err := os.MkdirTemp(parent.Dir, "grow-")
	if err != nil {
		return m, err
	}
	l := lab.New(dir)
	defer l.Close()
	consul, err := l.StartConsul("consul", nil)
	if err != nil {
		return m, err
	}
	all := make([]*subject, n)
	var some errgroup.Group
	some.SetLimit(8)
	for i := range all {
		some.Go(func() (err error) { all[i], err = prepare(l, consul, systems[0], false); return err })
	}
	if err := some.Wait(); err != nil {
		return m, err
	}
	pause(ctx, settleFor)
	idle, err := load(ctx, consul, idleFor/2)
	if err != nil {
		return m, err
	}
	requests, err := httpRequests(consul)
	if err != nil {
		return m, err
	}
	var one, every []float64
	for range runs {
		f, _, err := fail(ctx, consul, all[:1])
		if err != nil {
			return m, err
		}
		one = append(one, f...)
	}
	busy := 0.0
	for range runs {
		f, cpu, err := fail(ctx, consul, all)
		if err != nil {
			return m, err
		}
		every, busy = append(every, f...), max(busy, cpu)
	}
	id := func(f float64) float64 { return f }
	fmt.Fprintf(t, "| %d\t| %.1f\t| %.0f\t| %.1f\t| %s\t| %s\t| %.0f\t|\n", n, idle.cpu, requests, idle.writes, spreadOf(one, id), spreadOf(every, id), busy)
	return size{n, spreadOf(one, id).median, spreadOf(every, id).median}, t.Flush()
}

// cost is what Consul does in some time.
type cost struct{ cpu, writes float64 } // % of a core, and a second

func load(ctx context.Context, c *lab.Consul, d time.Duration) (l cost, err error) {
	u, err := c.Usage()
	if err != nil {
		return l, err
	}
	from, err := commits(c)
	if err != nil {
		return l, err
	}
	pause(ctx, d)
	if ctx.Err() != nil {
		return l, ctx.Err()
	}
	v, err := c.Usage()
	if err != nil {
		return l, err
	}
	to, err := commits(c)
	return cost{100 * (v.CPU - u.CPU).Seconds() / d.Seconds(), float64(to-from) / d.Seconds()}, err
}

// httpRequests is how many Consul has answered a second, by its own metrics, which cover intervals of 10 s.
func httpRequests(c *lab.Consul) (sum float64, err error) {
	m, err := c.Client.Agent().Metrics()
	if err != nil {
		return 0, err
	}
	for _, s := range m.Samples {
		if strings.HasPrefix(s.Name, "consul.api.http") {
			sum += float64(s.Count) / 10
		}
	}
	return sum, nil
}

// fail kills the masters of clusters at once, waits until all are whole again, and returns the outages of their clients.
func fail(ctx context.Context, consul *lab.Consul, ks []*subject) (outages []float64, cpu float64, err error) {
	ws, ms := make([]*lab.Writer, len(ks)), make([]int, len(ks))
	for i, k := range ks {
		if ms[i], err = k.Linked(); err != nil {
			return nil, 0, err
		}
		ws[i] = lab.Writing{Find: k.find, Pace: 20 * time.Millisecond}.Start(ctx)
		defer ws[i].Stop()
	}
	for _, w := range ws {
		if err := wrote(ctx, w, 200); err != nil {
			return nil, 0, err
		}
	}
	at, before := time.Now(), time.Duration(0)
	if u, err := consul.Usage(); err == nil {
		before = u.CPU
	}
	var all sync.WaitGroup
	for i, k := range ks {
		all.Go(k.Redis[ms[i]].Kill)
	}
	all.Wait()
	var errs []error
	for i, w := range ws {
		errs = append(errs, lab.Until(ctx, time.Minute, func() error { // another's client, and it continues
			if now, err := ks[i].find(ctx); err != nil || now == ks[i].Redis[ms[i]].Addr {
				return fmt.Errorf("the master is still %q: %w", now, err)
			}
			return nil
		}))
		n := w.Acked()
		errs = append(errs, lab.Until(ctx, time.Minute, func() error { return w.Wrote(n + 50) }))
	}
	if u, err := consul.Usage(); err == nil {
		cpu = 100 * (u.CPU - before).Seconds() / time.Since(at).Seconds()
	}
	for i, w := range ws {
		w.Stop()
		outages = append(outages, longest(w, at, time.Now()))
		errs = append(errs, ks[i].start(ms[i]))
	}
	for _, k := range ks {
		errs = append(errs, k.whole(recoverFor))
	}
	return outages, cpu, errors.Join(errs...)
}
