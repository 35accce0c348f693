// Command walk leads real clusters through random faults, two at once at times, and looks whether the invariants of
// scripts/README.md hold all the while. A seed draws the same faults and pauses again.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/scripts/lab"
)

func main() {
	lasts := flag.Duration("for", 30*time.Minute, "walk at least so long")
	seed := flag.Uint64("seed", rand.Uint64N(1_000_000), "of the first cluster; each next one has the next")
	members := flag.Int("n", 0, "members of a cluster; 0: three at once, with 2, 3 and 5")
	only := flag.String("only", "", "the kinds of faults, with commas between")
	w := &walk{out: os.Stdout}
	flag.StringVar(&w.dir, "dir", "", "a folder for the logs")
	flag.BoolVar(&w.draws, "settings", false, "draw the settings of each member and of Consul, too, and compare what status, HTTP and clients see")
	flag.BoolVar(&w.keep, "keep", false, "keep the logs of those, too, that show no violation")
	flag.Parse()
	if err := run(w, *lasts, *seed, *members, *only); err != nil {
		fmt.Fprintln(os.Stderr, "walk:", err)
		os.Exit(1)
	}
}

func run(w *walk, lasts time.Duration, seed uint64, members int, only string) (err error) {
	w.kinds, err = named(only, w.draws)
	if err != nil {
		return err
	}
	sizes := []int{2, 3, 5}
	if members == 1 || members < 0 {
		return fmt.Errorf("a cluster has 2 members at least, not %d", members)
	} else if members > 0 {
		sizes = []int{members}
	}
	if _, err := lab.Resec(); err != nil {
		return err
	}
	defer lab.Remove()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	w.until = time.Now().Add(lasts)
	w.say("seed %d, n %v, for %s, faults %v, logs in %s", seed, sizes, lasts, w.kinds, w.dir)
	var lanes errgroup.Group
	for _, n := range sizes {
		lanes.Go(func() error { return w.walk(ctx, n, seed) })
	}
	ended := make(chan error, 1)
	go func() { ended <- lanes.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.close()
	if clean := w.tally.write(w.out); err == nil && !clean {
		err = fmt.Errorf("an invariant was violated, or nothing was walked; the first seed was %d", seed)
	}
	return err
}
