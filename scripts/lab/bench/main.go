// Command bench measures what faults cost the clients of a cluster, with resec and with Redis Sentinel, on the same machine in
// the same run.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"resec/scripts/lab"
)

func main() {
	quick := flag.Bool("quick", false, "")
	runs := flag.Int("n", 0, "")
	only := flag.String("only", ".", "")
	of := flag.String("systems", ".", "")
	json := flag.String("json", "", "")
	medians := flag.String("medians", "", "")
	against := flag.String("against", "", "")
	trace := flag.Bool("trace", false, "")
	footprint := flag.Bool("footprint", false, "")
	clusters := flag.String("clusters", "", "")
	clients := flag.Bool("clients", false, "")
	proxies := flag.Bool("proxy", false, "")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := inLab(func(l *lab.Lab) error {
		switch {
		case *against != "" && (*of != "." || *footprint || *clusters != ""):
			return errors.New("-against measures resec only: leave out -systems, --footprint and --clusters")
		case *footprint:
			return footprints(ctx, l)
		case *clients:
			return clientTable(ctx, l, cmp.Or(*runs, 3))
		case *proxies:
			return proxyTables(ctx, l, cmp.Or(*runs, 3))
		case *clusters != "":
			sizes, err := numbers(*clusters)
			if err != nil {
				return err
			}
			return growth(ctx, l, sizes, cmp.Or(*runs, 3), *medians)
		}
		p, err := choose(*quick, *runs, *only, *of)
		if err == nil {
			err = p.compare(*against)
		}
		p.traced = *trace
		if err != nil {
			return err
		}
		all, err := p.run(ctx, l)
		return errors.Join(err, report(all, *json, *medians))
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// inLab does something with the program as it is released.
func inLab(do func(*lab.Lab) error) error {
	dir, err := os.MkdirTemp("", "resec-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := lab.Build(dir, "-trimpath", "-ldflags", "-s -w")
	if err != nil {
		return err
	}
	lab.Resec = func() (string, error) { return bin, nil }
	l := lab.New(dir)
	defer l.Close()
	return do(l)
}

func numbers(list string) (out []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("--clusters takes numbers of clusters, 1,10,30, not %q", list)
		}
		out = append(out, n)
	}
	return out, nil
}
