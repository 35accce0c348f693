package elect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// stranger tells whether who does not let us see who he is may be treated as silent: his guard, if it is the old master, closes it all
// the same. While we receive its stream it is the old master.
func (p *passage) stranger(v lock.View, old *lock.Master, received bool, err error) bool {
	return redis.Foreign(err) && (p.Force != nil || v.State.GivenUp(old.ID) || old.Guard != lock.GuardOff && !received)
}

// follows tells whether a Redis receives the master's stream.
func follows(st redis.Status, m *lock.Master) bool { return st.Linked() && st.Of == m.Address }

// unseen returns an error where the old master does not let us see it, and somebody receives its stream: it serves its clients, and
// nobody is to be parked for that. A Redis at its maxclients hangs up.
func (p *passage) unseen(ctx context.Context, v lock.View, own redis.Status) error {
	m := v.State.Master
	if m == nil || m.RunID == own.RunID || p.Force != nil || v.State.GivenUp(m.ID) || p.Mute == m.RunID {
		return nil
	}
	ask := func(addr string) (redis.Status, error) {
		ctx, cancel := context.WithTimeout(ctx, sealFor) // whoever is silent is dealt with later
		defer cancel()
		opt := p.Creds
		opt.Addr, opt.Timeout = addr, sealFor
		return handlers.Ask(ctx, opt)
	}
	_, err := ask(m.Address)
	if !redis.Foreign(err) && !errors.Is(err, io.EOF) {
		return nil
	}
	var received atomic.Bool
	received.Store(follows(own, m))
	var asking sync.WaitGroup
	for _, o := range p.Others {
		if o.ID != m.ID {
			asking.Go(func() {
				if st, err := ask(o.Address); err == nil && v.Knows(o.ID, st) && follows(st, m) {
					received.Store(true)
				}
			})
		}
	}
	asking.Wait()
	if received.Load() {
		return fmt.Errorf("take over from %s at %s: it lives, and does not let us in: %w", m.ID, m.Address, err)
	}
	return nil
}
