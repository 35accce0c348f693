package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Watch is all that looks at a cluster while something is done to it: a client that writes, the prober, and the
// catalogue's watcher.
type Watch struct {
	Writer    *Writer
	Prober    *Prober
	Catalogue *Catalogue

	k       *Cluster
	began   time.Time
	resyncs int // full resyncs before the watch
}

// pace of the client of a Watch: fine enough to see an outage of that length, and no burden.
const pace = 5 * time.Millisecond

// Watch starts to look at the cluster, and waits until each that looks sees a master.
func (k *Cluster) Watch(ctx context.Context) (*Watch, error) {
	w := &Watch{k: k, began: time.Now(), resyncs: k.resyncs()}
	w.Prober = StartProber(ctx, k.present()...)
	w.Catalogue = StartCatalogue(ctx, k.Name+"-master", k.readers()...)
	w.Writer = k.Writing(pace).Start(ctx)
	k.watches = append(k.watches, w)
	err := Until(ctx, 10*time.Second, func() error {
		err := errors.Join(w.Writer.Wrote(1), w.Catalogue.Listed())
		if len(w.Prober.Accepted()) == 0 {
			err = errors.Join(err, errors.New("no redis accepts writes"))
		}
		return err
	})
	if err != nil {
		w.Stop()
		return nil, fmt.Errorf("watch %s: %w", k.Name, err)
	}
	return w, nil
}

// Stop ends the watching.
func (w *Watch) Stop() {
	w.Writer.Stop()
	w.Prober.Stop()
	w.Catalogue.Stop()
	w.k.watches = slices.DeleteFunc(w.k.watches, func(x *Watch) bool { return x == w })
}

// present are the servers of the members that were not removed.
func (k *Cluster) present() (out []*Redis) {
	for i, r := range k.Redis {
		if !k.gone[i] {
			out = append(out, r)
		}
	}
	return out
}

// resyncs is how many full resyncs the servers have logged since they were made. They are counted in the replicas'
// logs: `sync_full` of INFO begins anew with each start.
func (k *Cluster) resyncs() (n int) {
	for _, r := range k.Redis {
		log, _ := os.ReadFile(r.Log)
		n += bytes.Count(log, []byte("Full resync from "))
	}
	return n
}

// Verdict waits until the cluster has settled, ends the watch, and returns what was seen.
func (w *Watch) Verdict(patience time.Duration) Verdict {
	v := Verdict{Settled: w.k.Settled(patience)}
	if v.Settled == nil { // the outage ends with the next write
		n := w.Writer.Acked()
		v.Settled = Until(context.Background(), 5*time.Second, func() error { return w.Writer.Wrote(n + 1) })
	}
	v.Lasted = time.Since(w.began)
	w.Stop()
	v.Acked, v.Outage, v.Errors = w.Writer.Acked(), w.Writer.Longest(), w.Writer.Errors()
	v.Two, v.Listed, v.None = w.Prober.Overlaps(), w.Catalogue.Two(), w.Catalogue.None()
	v.Resyncs = w.k.resyncs() - w.resyncs
	v.Unknown = Until(context.Background(), 5*time.Second, func() error { return w.losses(&v) }) // an agent that parks a redis ends its clients' connections
	return v
}

// losses looks for what was acknowledged on the master, and on each replica once that has received what the master has.
func (w *Watch) losses(v *Verdict) error {
	m, err := w.k.Master()
	if err != nil {
		return err
	}
	if v.Lost, err = w.Writer.LostOn(w.k.Redis[m]); err != nil {
		return err
	}
	mark := time.Now().String()
	if _, err := w.k.Redis[m].Do("SET", written, mark); err != nil {
		return err
	}
	v.Missing = map[string]int{}
	for i, r := range w.k.Redis {
		if i == m || !r.Running() || r.Follows(w.k.Redis[m]) != nil {
			continue
		}
		err := Until(context.Background(), 5*time.Second, func() error {
			got, err := r.Do("GET", written)
			if err == nil && got != mark {
				err = fmt.Errorf("%s is behind its master", r.Name)
			}
			return err
		})
		if err != nil {
			return err
		}
		missing, err := w.Writer.LostOn(r)
		if err != nil {
			return err
		}
		v.Missing[r.Name] = len(missing)
	}
	return nil
}

// Erase removes the client's keys, after the verdict, so that the same cluster can be watched again.
func (w *Watch) Erase() error {
	m, err := w.k.Master()
	if err != nil {
		return err
	}
	return w.Writer.Erase(w.k.Redis[m])
}
