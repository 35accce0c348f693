package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"resec/scripts/lab"
)

// system is one that is measured.
type system struct {
	name      string
	downAfter time.Duration // of Sentinel; 0: it is resec
	program   string        // another resec; empty: that of this checkout
	endpoints bool          // each agent of resec answers as a Sentinel
	web       bool          // each agent of resec answers by HTTP, at webPort
}

var systems = []system{
	{name: "resec"},
	{name: "sentinel 1000", downAfter: time.Second},
	{name: "sentinel 5000", downAfter: 5 * time.Second},
	{name: "sentinel 30000", downAfter: 30 * time.Second}, // as Redis ships it
}

func (s system) ours() bool { return s.downAfter == 0 }

// webPort is the HTTP port of agents that have one, each on the host of its Redis.
const webPort = "8280"

// defaults are the default timings of resec: the bench measures with them, not with those of the tests.
var defaults = []string{"HEALTHCHECK_INTERVAL=5s", "HEALTHCHECK_TIMEOUT=2s", "CONSUL_LOCK_TTL=15s", "LOG_LEVEL=DEBUG"}

// subject is a cluster of three under measurement.
type subject struct {
	*lab.Cluster
	system
	sentinels []*lab.Sentinel
	asked     atomic.Uint32 // which Sentinel answered last
	traced    bool          // the agents' log lines of each fault are printed
}

var subjects atomic.Int64

// prepare starts a cluster, and waits until it is whole. With a network each member is a host of its own, with a Consul
// client agent.
func prepare(l *lab.Lab, consul *lab.Consul, sys system, network bool) (*subject, error) {
	p := lab.Plan{Name: fmt.Sprint("bench", subjects.Add(1)), Members: 3, Consul: consul, Env: defaults, StartParked: sys.ours(),
		Program: sys.program, Sourced: !sys.ours(), Sentinel: sys.endpoints}
	if network {
		p.Consul, p.Servers, p.Network, p.Clients = nil, 1, true, sys.ours()
	}
	k, err := l.NewPlanned(p)
	if err != nil {
		return nil, err
	}
	s := &subject{Cluster: k, system: sys}
	if sys.ours() {
		for i := range k.Redis {
			var env []string
			if sys.web {
				env = append(env, "LISTEN_ADDR="+net.JoinHostPort(k.Redis[i].Host, webPort))
			}
			if err := k.Agent(i, env...); err != nil {
				return nil, err
			}
		}
	} else if s.sentinels, err = k.Sentinels(sys.downAfter); err != nil {
		return nil, err
	}
	return s, s.whole(time.Minute)
}

// whole waits until there is one master, all others are its replicas, and Consul or the Sentinels list it.
func (s *subject) whole(patience time.Duration) error {
	if s.ours() {
		return s.Settled(patience)
	}
	return lab.Until(context.Background(), patience, func() error {
		m, err := s.Linked()
		if err != nil {
			return err
		}
		for _, x := range s.sentinels {
			if at, err := x.Master(context.Background()); err != nil || at != s.Redis[m].Addr {
				return fmt.Errorf("%s calls %s the master, not %s: %w", x.Process.Name, at, s.Redis[m].Addr, err)
			}
			if err := x.Knows(len(s.sentinels)-1, len(s.Redis)-1); err != nil {
				return err
			}
		}
		return nil
	})
}

// find is how a client finds the master.
func (s *subject) find(ctx context.Context) (at string, err error) {
	if s.ours() {
		return s.Find(ctx)
	}
	for range s.sentinels {
		n := s.asked.Load()
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		at, err = s.sentinels[int(n)%len(s.sentinels)].Master(short)
		cancel()
		if err == nil {
			break
		}
		s.asked.CompareAndSwap(n, n+1)
	}
	return at, err
}

// keeper is the agent or the Sentinel of a Redis.
func (s *subject) keeper(i int) *lab.Process {
	if s.ours() {
		return s.Agents[i]
	}
	return s.sentinels[i].Process
}

// leave stops a keeper with SIGTERM.
func (s *subject) leave(i int) error {
	code, err := s.keeper(i).Stop(syscall.SIGTERM)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s exits with %d", s.keeper(i).Name, code)
	}
	return err
}

// stop stops a Redis and its keeper with SIGTERM, as a container is stopped.
func (s *subject) stop(i int) error {
	ended := make(chan error, 1)
	go func() { ended <- s.leave(i) }()
	_, err := s.Redis[i].Stop(syscall.SIGTERM)
	return errors.Join(err, <-ended)
}

// start starts what does not run of a member.
func (s *subject) start(i int) error {
	if err := s.Boot(i); err != nil {
		return err
	}
	if p := s.keeper(i); !p.Running() {
		return p.Start()
	}
	return nil
}

// switchover is a planned one.
func (s *subject) switchover(ctx context.Context, m int) error {
	if !s.ours() {
		return s.sentinels[m].Failover(ctx)
	}
	out, stderr, code, err := s.Run(m, "", "switchover")
	if err == nil && code != 0 {
		err = fmt.Errorf("switchover exits %d: %s%s", code, out, stderr)
	}
	return err
}
