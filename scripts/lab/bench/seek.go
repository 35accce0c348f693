package main

import (
	"context"
	"sync"
	"time"
)

// seeker looks for the master again and again, as clients do.
type seeker struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	seen []sight // each change
}

// sight is what was found from a moment on; empty: no master.
type sight struct {
	addr string
	at   time.Time
}

const seekEvery = 2 * time.Millisecond

func seek(ctx context.Context, find func(context.Context) (string, error)) *seeker {
	ctx, cancel := context.WithCancel(ctx)
	s := &seeker{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(seekEvery)
		defer tick.Stop()
		for {
			addr, err := find(ctx)
			if err != nil {
				addr = ""
			}
			if ctx.Err() != nil {
				return
			}
			s.saw(addr)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return s
}

func (s *seeker) saw(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.seen); n == 0 || s.seen[n-1].addr != addr {
		s.seen = append(s.seen, sight{addr, time.Now()})
	}
}

func (s *seeker) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return ""
	}
	return s.seen[len(s.seen)-1].addr
}

func (s *seeker) stop() {
	s.cancel()
	<-s.done
}

// since is for how long there was no master since a moment, and when another than the old one was first found; 0: never.
func (s *seeker) since(at time.Time, old string) (unlisted, found float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.seen {
		end := time.Now()
		if i+1 < len(s.seen) {
			end = s.seen[i+1].at
		}
		switch {
		case end.Before(at):
		case x.addr == "":
			unlisted += ms(end.Sub(later(x.at, at)))
		case x.addr != old && found == 0:
			found = ms(x.at.Sub(at))
		}
	}
	return unlisted, found
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
