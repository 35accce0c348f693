package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"resec/scripts/lab"
)

const (
	// loadPerClient is how many commands one run of redis-benchmark sends, for each connection more, and at most.
	loadPerClient, maxLoad = 20000, 300000
)

// ways are how a client gets to the master, by name.
type way struct {
	name    string
	addr    func(context.Context) (string, error)
	process *lab.Process // nil: the client connects directly
}

// proxyTables prints throughput, latency, outage and memory of clients that connect directly, through `resec proxy`, and through
// HAProxy.
func proxyTables(ctx context.Context, l *lab.Lab, runs int) error {
	own, s, err := fresh(l, system{name: "resec", web: true}, false)
	if err != nil {
		return err
	}
	defer own.Close()
	ways, err := startWays(s)
	if err != nil {
		return err
	}
	if err := through(ctx, ways, runs); err != nil {
		return err
	}
	if err := wayOutages(ctx, s, ways, runs); err != nil {
		return err
	}
	return memory(ctx, ways)
}

func startWays(s *subject) ([]way, error) {
	fixed := func(addr string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return addr, nil }
	}
	proxy, haproxy := net.JoinHostPort(lab.Host(), "6379"), net.JoinHostPort(lab.Host(), "6379")
	p, err := s.Resec("proxy", 0, "proxy", "-write-addr", proxy)
	if err != nil {
		return nil, err
	}
	conf := []string{"global", "  maxconn 8000", "defaults", "  mode tcp", "  maxconn 8000", "  timeout connect 1s", "  timeout client 1h", "  timeout server 1h",
		"  timeout check 1s", "listen redis", "  bind " + haproxy, "  option httpchk GET /master", "  http-check expect status 200",
		"  default-server check port " + webPort + " inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions"}
	for i, r := range s.Redis {
		conf = append(conf, fmt.Sprintf("  server m%d %s", i, r.Addr))
	}
	file := filepath.Join(s.Dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	h, err := s.Start("haproxy", nil, "haproxy", "-db", "-f", file)
	if err != nil {
		return nil, err
	}
	return []way{{"direct", s.find, nil}, {"resec proxy", fixed(proxy), p}, {"haproxy", fixed(haproxy), h}}, nil
}

// through prints the throughput.
func through(ctx context.Context, ways []way, runs int) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| connections\t| pipeline\t| way\t| SET a second\t| p50, ms\t| p99, ms\t| × haproxy\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, clients := range []int{1, 50, 500} {
		for _, pipeline := range []int{1, 16} {
			found := map[string][3][]float64{}
			for range runs { // in turns
				for _, w := range ways {
					got, err := loaded(ctx, w, clients, pipeline)
					if err != nil {
						return fmt.Errorf("%s: %w", w.name, err)
					}
					f := found[w.name]
					for i := range got {
						f[i] = append(f[i], got[i])
					}
					found[w.name] = f
				}
			}
			base := middle(found["haproxy"][0])
			for _, w := range ways {
				f := found[w.name]
				fmt.Fprintf(t, "| %d\t| %d\t| %s\t| %.0f\t| %.2f\t| %.2f\t| %.2f\t|\n", clients, pipeline, w.name, middle(f[0]), middle(f[1]),
					middle(f[2]), middle(f[0])/base)
			}
		}
	}
	return t.Flush()
}

// loaded runs redis-benchmark once: commands a second, p50 and p99 in ms.
func loaded(ctx context.Context, w way, clients, pipeline int) (got [3]float64, err error) {
	addr, err := w.addr(ctx)
	if err != nil {
		return got, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return got, err
	}
	n := min(loadPerClient*clients*pipeline, maxLoad)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-c", fmt.Sprint(clients), "-P", fmt.Sprint(pipeline),
		"-n", fmt.Sprint(n), "-t", "set", "--csv").Output()
	if err != nil {
		return got, fmt.Errorf("redis-benchmark: %w", err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) != 2 {
		return got, fmt.Errorf("redis-benchmark says %q: %w", out, err)
	}
	for i, column := range []string{"rps", "p50_latency_ms", "p99_latency_ms"} {
		for j, name := range rows[0] {
			if name == column {
				if got[i], err = strconv.ParseFloat(rows[1][j], 64); err != nil {
					return got, err
				}
			}
		}
	}
	return got, nil
}

// wayOutages prints how long a client of each way cannot write, all in the same faults.
func wayOutages(ctx context.Context, s *subject, ways []way, runs int) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| fault\t| direct, ms\t| resec proxy, ms\t| haproxy, ms\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|")
	for _, sc := range scenarios {
		if sc.name != "crash" && sc.name != "switchover" {
			continue
		}
		found := make([][]float64, len(ways))
		for range runs {
			took, err := outage(ctx, s, sc, ways)
			if err != nil {
				return fmt.Errorf("%s: %w", sc.name, err)
			}
			for i := range took {
				found[i] = append(found[i], took[i])
			}
		}
		fmt.Fprintf(t, "| %s\t| %.0f\t| %.0f\t| %.0f\t|\n", sc.name, middle(found[0]), middle(found[1]), middle(found[2]))
	}
	return t.Flush()
}

func outage(ctx context.Context, s *subject, sc scenario, ways []way) (took []float64, err error) {
	var all []*lab.Writer
	for _, w := range ways {
		writer := lab.Writing{Find: w.addr, Pace: time.Millisecond}.Start(ctx)
		defer writer.Stop()
		all = append(all, writer)
	}
	for _, w := range all {
		if err := wrote(ctx, w, 300); err != nil {
			return nil, err
		}
	}
	m, err := s.Linked()
	if err != nil {
		return nil, err
	}
	at := time.Now()
	if err := sc.do(ctx, s, m); err != nil {
		return nil, err
	}
	if err := lab.Until(ctx, recoverFor, func() error {
		if now, err := s.find(ctx); err != nil || now == s.Redis[m].Addr {
			return fmt.Errorf("the master is still %q: %w", now, err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for _, w := range all {
		n := w.Acked()
		if err := lab.Until(ctx, recoverFor, func() error { return w.Wrote(n + 300) }); err != nil {
			return nil, err
		}
		took = append(took, longest(w, at, time.Now()))
	}
	if sc.undo != nil {
		if err := sc.undo(s, m); err != nil {
			return nil, err
		}
	}
	return took, s.whole(recoverFor)
}
