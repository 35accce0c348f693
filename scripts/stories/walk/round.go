package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/scripts/lab"
)

const (
	// heals is within how long a cluster comes back by itself once all faults are undone.
	heals = 90 * time.Second
	// joins is within how long Consul itself does.
	joins = 3 * time.Minute
	// rests is how long the walk waits in the middle of a round for a cluster that is to be whole again.
	rests = 30 * time.Second
	// agrees is within how long status, HTTP and catalogue say what a client of Redis sees.
	agrees = 5 * time.Second
	// sweeps bounds the time until the sessions of dead agents have ended: Consul ends them after 2 × CONSUL_LOCK_TTL.
	sweeps = 20 * time.Second
)

// round is a few faults, and what was seen meanwhile.
type round struct {
	book
	k     *lab.Cluster
	watch *lab.Watch
	saw   Sight
	key   string // that has to be there in the end
	past  []byte // what Consul held when the round began
}

// play does the steps to a whole cluster, undoes them, and returns what was seen; an error is the lab's own.
func play(ctx context.Context, k *lab.Cluster, s setting, nth int, steps []Step) (saw Sight, err error) {
	r := &round{k: k, book: book{busy: map[string]bool{}}, key: fmt.Sprint("walk:key", nth)}
	if r.watch, err = k.Watch(ctx); err != nil {
		return saw, err
	}
	defer r.watch.Stop()
	hush := listen()
	r.saw = Sight{Began: time.Now(), Persist: s.Persist, Clients: s.Clients}
	if err := r.store(); err != nil {
		return r.saw, err
	}
	if r.past, err = k.Consul.Snapshot(ctx); err != nil {
		return r.saw, err
	}
	r.saw.Whole = append(r.saw.Whole, time.Now())
	r.run(ctx, steps)
	if ctx.Err() != nil {
		return r.saw, ctx.Err()
	}
	if err := errors.Join(k.Net.HealAll(), consul(ctx, k)); err != nil {
		return r.saw, fmt.Errorf("consul did not come back: %w", err)
	}
	healed := time.Now()
	r.saw.Running = running(k)
	err = k.Settled(time.Until(healed.Add(heals)))
	if err == nil {
		r.saw.Whole = append(r.saw.Whole, time.Now())
		r.saw.Tidy = lab.Until(ctx, sweeps, func() error { return tidy(k) })
		r.saw.Kept = r.kept()
		r.saw.Views = lab.Until(ctx, agrees, func() error { return agree(ctx, k, s.listen) })
	}
	patience := rests
	if err != nil {
		patience = 0
	}
	r.saw.Verdict = r.watch.Verdict(patience)
	if err != nil {
		r.saw.Settled = err
	}
	r.saw.Accepted = r.accepted()
	r.saw.Noise = hush()
	r.saw.Harms, r.saw.Skipped, r.saw.Bad = r.done()
	if err == nil {
		err = r.watch.Erase()
		r.saw.Bad = append(r.saw.Bad, err)
	}
	return r.saw, nil
}

// run does the steps one after the other, and waits until all is undone.
func (r *round) run(ctx context.Context, steps []Step) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range steps {
		var these sync.WaitGroup
		for _, f := range s.Faults {
			wait(ctx, f.After)
			if undone := r.inflict(ctx, f); undone != nil {
				these.Go(func() { <-undone })
			}
		}
		all.Go(these.Wait)
		if !s.Settle {
			wait(ctx, s.Pause)
			continue
		}
		these.Wait()
		if lab.Until(ctx, rests, func() error { return r.k.Settled(0) }) == nil {
			r.saw.Whole = append(r.saw.Whole, time.Now())
		}
	}
}

// member is the index of the member with a role: 0 is the one that accepted writes last, i the i-th other one.
func (r *round) member(role int) int {
	master, last := 0, time.Time{}
	for i, all := range r.accepted() {
		if n := len(all); n > 0 && all[n-1].To.After(last) {
			master, last = i, all[n-1].To
		}
	}
	return (master + role) % len(r.k.Redis)
}

// accepted are the times in which each member accepted writes.
func (r *round) accepted() map[int][]lab.Interval {
	by := r.watch.Prober.Accepted()
	out := map[int][]lab.Interval{}
	for i, redis := range r.k.Redis {
		out[i] = by[redis.Name]
	}
	return out
}

// store writes a key that has to be there in the end, on every disk, too.
func (r *round) store() error {
	m, err := r.k.Master()
	if err != nil {
		return err
	}
	if _, err := r.k.Redis[m].Do("SET", r.key, "here"); err != nil {
		return err
	}
	if _, err := r.k.Linked(); err != nil { // all have received it
		return err
	}
	for _, redis := range r.k.Redis {
		switch r.saw.Persist {
		case lab.RDB:
			err = redis.Save()
		case lab.AOF: // after a full sync the file is written anew
			err = lab.Until(context.Background(), 10*time.Second, func() error {
				return redis.Is("aof_rewrite_in_progress", "0", "aof_rewrite_scheduled", "0", "aof_last_bgrewrite_status", "ok")
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kept returns nil if every member has the key.
func (r *round) kept() error {
	for _, redis := range r.k.Redis {
		if v, err := redis.Do("GET", r.key); err != nil || v != "here" {
			return fmt.Errorf("%s of the round's begin is %q on %s: %w", r.key, v, redis.Name, err)
		}
	}
	return nil
}

// consul waits until every Consul agent can be written to, and is known to be alive.
func consul(ctx context.Context, k *lab.Cluster) error {
	var all errgroup.Group
	for _, c := range slices.Concat(k.Servers, k.Clients) {
		all.Go(func() error { return lab.Until(ctx, joins, func() error { return c.Ready(ctx) }) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if lab.Until(ctx, joins/2, k.Rejoin) == nil {
		return nil
	}
	if err := k.RestartAbsent(); err != nil {
		return err
	}
	return lab.Until(ctx, joins/2, k.Rejoin)
}

// running returns nil if every process of the cluster runs.
func running(k *lab.Cluster) error {
	for i := range k.Redis {
		for _, p := range k.Processes(i) {
			if !p.Running() {
				return fmt.Errorf("%s has ended by itself", p.Name)
			}
		}
	}
	return nil
}
