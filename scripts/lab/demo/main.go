// Command demo shows one failover on real servers, in a dozen lines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"resec/scripts/lab"
)

func main() {
	keep := flag.Bool("keep", false, "leave the cluster up until Ctrl-C, and say how to look around")
	remove := flag.String("remove", "", "a file to remove at the start: this program")
	flag.Parse()
	if *remove != "" {
		_ = os.Remove(*remove)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := tell(ctx, os.Stdout, *keep); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	if ctx.Err() != nil && !*keep {
		os.Exit(130)
	}
}

// story is one telling.
type story struct {
	*lab.Cluster
	out   io.Writer
	began time.Time
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.2f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func tell(ctx context.Context, out io.Writer, keep bool) error {
	dir, err := os.MkdirTemp("", "resec-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := lab.New(dir)
	defer l.Close()
	bin, err := lab.Build(dir) // without the race detector: the demo shows how fast it is
	if err != nil {
		return err
	}
	lab.Resec = func() (string, error) { return bin, nil }
	s := &story{out: out, began: time.Now()}
	consul, err := l.StartConsul("demo", nil)
	if err != nil {
		return err
	}
	s.say("Consul is up: http://%s/ui", consul.HTTP())
	// Started parked: a Redis that restarts is a read-only replica without a master, and cannot overwrite other members.
	if s.Cluster, err = l.NewCluster(consul, "redis", 3, "--replicaof", lab.Sink); err != nil {
		return err
	}
	s.Env = append(s.Env, "CONSUL_LOCK_KEY=resec/.lock")
	s.say("three Redis are up: %s, %s, %s", s.Redis[0].Addr, s.Redis[1].Addr, s.Redis[2].Addr)
	if err := s.Go(); err != nil {
		return err
	}
	master, err := s.ask(ctx)
	if err != nil {
		return err
	}
	s.say("three agents are up; they elected. redis-master.service.consul is %s, as Consul's DNS says", master)
	if err := s.failover(ctx); err != nil {
		return err
	}
	if keep {
		return s.lookAround(ctx)
	}
	if err := s.Stop(); err != nil {
		return err
	}
	s.say("the agents left; every server that was started is stopped again")
	return nil
}

func (s *story) ask(ctx context.Context) (string, error) {
	return s.Consul.Lookup(ctx, "redis-master")
}

// failover writes to the discovered master, kills it, and prints the outage and the lost writes.
func (s *story) failover(ctx context.Context) error {
	w := lab.StartWriter(ctx, func(ctx context.Context) (string, error) { return s.ask(ctx) })
	defer w.Stop()
	if err := lab.Until(ctx, 10*time.Second, func() error { return w.Wrote(500) }); err != nil {
		return err
	}
	m, err := s.Master()
	if err != nil {
		return err
	}
	s.say("a client that finds the master by DNS has written %d keys, the longest gap between two %.1f ms", w.Acked(), ms(w.LongestGap()))
	before := w.Acked()
	s.Redis[m].Kill()
	s.say("killed the master's Redis (kill -9) at %s", s.Redis[m].Addr)
	if err := lab.Until(ctx, 30*time.Second, func() error { return w.Wrote(before + 500) }); err != nil {
		return err
	}
	master, err := s.ask(ctx)
	if err != nil {
		return err
	}
	s.say("redis-master.service.consul is %s now; the client writes again after %.0f ms without", master, ms(w.LongestGap()))
	w.Stop()
	if err := s.Redis[m].Restart(); err != nil {
		return err
	}
	if err := s.Settled(20 * time.Second); err != nil {
		return err
	}
	lost, err := w.Lost(master)
	if err != nil {
		return err
	}
	s.say("the killed Redis is back, empty, and follows; %d of %d acknowledged writes are lost", lost, w.Acked())
	text, stderr, code, err := s.Run(0, "", "status")
	if err != nil || code != 0 {
		return errors.Join(err, fmt.Errorf("resec status exits %d: %s%s", code, text, stderr))
	}
	s.say("resec status:\n%s", strings.TrimSpace(text))
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// lookAround leaves everything up until the user has seen enough.
func (s *story) lookAround(ctx context.Context) error {
	bin, err := lab.Resec()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.Redis[0].Addr)
	fmt.Fprintf(s.out, `
Left up until Ctrl-C. Look around:
  export CONSUL_HTTP_ADDR=%s PATH=%s:$PATH
  resec status
  redis-cli -h %s -p %s info replication
  dig @%s -p 8600 redis-master.service.consul SRV
  logs in %s
`, s.Consul.HTTP(), filepath.Dir(bin), host, port, s.Consul.Host, s.Dir)
	<-ctx.Done()
	return s.Stop()
}
