package main

import (
	"context"
	"errors"
	"time"

	"resec/scripts/lab"
)

// scenario is one thing that happens to the master, the m-th, of a cluster of three.
type scenario struct {
	name    string
	says    string
	network bool // each member is a host of its own
	alone   bool // Sentinel knows no Consul
	quick   bool
	stays   bool // the run does not wait for another master
	keeps   bool // nor for one of Sentinel's, which does nothing there
	lasts   time.Duration
	before  func(s *subject, m int) error // what it takes; nil: nothing
	do      func(ctx context.Context, s *subject, m int) error
	undo    func(s *subject, m int) error // what failed comes back, once a client can write again; nil: nothing failed
}

// away is how long what goes away stays away.
const away = 20 * time.Second

var scenarios = []scenario{
	{name: "crash", says: "Redis is killed", quick: true,
		do: func(_ context.Context, s *subject, m int) error { s.Redis[m].Kill(); return nil }, undo: (*subject).start},
	{name: "freeze", says: "Redis hangs", quick: true,
		do:   func(_ context.Context, s *subject, m int) error { s.Redis[m].Freeze(); return nil },
		undo: func(s *subject, m int) error { s.Redis[m].Thaw(); return nil }},
	{name: "container", says: "Redis and its agent, or Sentinel, are killed", quick: true,
		do: func(_ context.Context, s *subject, m int) error {
			s.keeper(m).Kill()
			s.Redis[m].Kill()
			return nil
		}, undo: (*subject).start},
	{name: "machine", says: "the machine is down: packets are dropped", network: true, quick: true,
		do: func(_ context.Context, s *subject, m int) error {
			err := s.Net.Isolate(s.Hosts[m], lab.Drop)
			s.keeper(m).Kill()
			s.Crash(m)
			return err
		},
		undo: func(s *subject, m int) error { return errors.Join(s.Net.HealAll(), s.start(m)) }},
	{name: "stopped", says: "Redis and its agent, or Sentinel, are stopped", quick: true,
		do: func(_ context.Context, s *subject, m int) error { return s.stop(m) }, undo: (*subject).start},
	{name: "switchover", says: "an operator moves the master", quick: true,
		do: func(ctx context.Context, s *subject, m int) error { return s.switchover(ctx, m) }},
	{name: "agent", says: "the agent, or Sentinel, is killed", keeps: true,
		do: func(_ context.Context, s *subject, m int) error { s.keeper(m).Kill(); return nil }, undo: (*subject).start},
	{name: "left", says: "the agent, or Sentinel, is stopped", keeps: true,
		do: func(_ context.Context, s *subject, m int) error { return s.leave(m) }, undo: (*subject).start},
	{name: "cut off", says: "the master's host is cut off from Consul's server", network: true, alone: true,
		do: func(_ context.Context, s *subject, m int) error {
			return s.Net.Cut(s.Hosts[m], s.Consul.Net, lab.Drop)
		},
		undo: func(s *subject, _ int) error { return s.Net.HealAll() }},
	{name: "consul", says: "Consul's server is away for 20 s", network: true, alone: true, stays: true, lasts: away,
		do:   func(_ context.Context, s *subject, _ int) error { s.Consul.Kill(); return nil },
		undo: func(s *subject, _ int) error { return s.Consul.Restart() }},
	{name: "empty", says: "Redis is killed, and restarted at once without data", stays: true,
		do: func(_ context.Context, s *subject, m int) error { return s.Redis[m].RestartEmpty() }},
	{name: "stale", says: "Redis is killed while one replica has been hanging for 2 s, and the replica resumes then",
		before: func(s *subject, m int) error { s.Redis[(m+1)%3].Freeze(); return nil },
		do: func(_ context.Context, s *subject, m int) error {
			s.Redis[m].Kill()
			s.Redis[(m+1)%3].Thaw()
			return nil
		}, undo: (*subject).start},
}
