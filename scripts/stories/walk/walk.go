package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"resec/scripts/lab"
)

// rounds is how many a cluster lives through, unless one goes wrong.
const rounds = 10

// walk is a random walk through all faults, of one cluster after the other.
type walk struct {
	until time.Time
	kinds []Kind
	dir   string
	keep  bool // the logs of clusters without a violation, too
	draws bool // settings of members and of Consul
	tally tally

	mu   sync.Mutex
	out  io.Writer
	labs []*lab.Lab
}

func (w *walk) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.out, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// walk leads clusters of one size through their rounds, each with the next seed, until the time is over.
func (w *walk) walk(ctx context.Context, members int, seed uint64) error {
	for ; ctx.Err() == nil && time.Now().Before(w.until); seed++ {
		dir := filepath.Join(w.dir, fmt.Sprintf("n%d-seed%d", members, seed))
		good, err := w.live(ctx, dir, members, seed)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("-seed %d -n %d: %w", seed, members, err)
		}
		if good && !w.keep {
			_ = os.RemoveAll(dir)
		}
	}
	return nil
}

// live leads one cluster through its rounds, and reports whether there was no violation; an error is the lab's own.
func (w *walk) live(ctx context.Context, dir string, members int, seed uint64) (good bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	l := w.lab(dir)
	defer l.Close()
	c := life{setting: settingOf(seed, members), seed: seed, dir: dir}
	if w.draws {
		if err := c.setting.draw(seed); err != nil {
			return false, err
		}
		defer c.setting.close()
	}
	w.say("n=%d seed %d: %s", members, seed, c.setting)
	k, err := l.NewPlanned(c.Plan)
	if err != nil {
		return false, err
	}
	for i, f := range c.fronts {
		f.before(k.Beside(i))
	}
	w.tally.cluster(members)
	for i := range members {
		if err := k.Agent(i); err != nil {
			return false, err
		}
	}
	if err := k.Settled(heals); err != nil {
		return false, w.violated(c, fmt.Errorf("I5, at the begin: %w", err))
	}
	random := rand.New(rand.NewPCG(seed, uint64(members)))
	for c.nth = 1; c.nth <= rounds && (c.nth == 1 || time.Now().Before(w.until)); c.nth++ {
		d := drawing{Rand: random, setting: c.setting, kinds: w.kinds}
		c.steps = d.draw()
		before := c.saw.carried()
		c.saw, err = play(ctx, k, c.setting, c.nth, c.steps)
		c.saw.Before = before
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			return false, w.violated(c, err)
		}
		w.tally.round(c)
		if bad := append(c.saw.Violations(), sane(k)...); len(bad) > 0 {
			return false, w.violated(c, bad...)
		}
		w.say("n=%d seed %d round %d: ok, %.1f s, outage %.0f ms, %d lost; %s", members, seed, c.nth, c.saw.Lasted.Seconds(),
			milli(c.saw.Outage.Lasted()), len(c.saw.Lost), c.saw.summary())
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("round%02d.txt", c.nth)), []byte(c.story()), 0o644); err != nil {
			return false, err
		}
	}
	if err := leave(k, random.IntN(2) == 0); err != nil {
		return false, w.violated(c, fmt.Errorf("I6, at the end: %w", err))
	}
	return true, nil
}

// sane are the races and panics of the agents.
func sane(k *lab.Cluster) (bad []error) {
	for _, a := range k.Agents {
		if err := a.Sane(); err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// lab makes one that ends with the walk, whatever ends that.
func (w *walk) lab(dir string) *lab.Lab {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := lab.New(dir)
	w.labs = append(w.labs, l)
	return l
}

// close ends all that was started.
func (w *walk) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.labs {
		l.Close()
	}
}
