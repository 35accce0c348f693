package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/catalog"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// loop decides and acts, one step at a time, each time something has changed.
func (a *Agent) loop(ctx context.Context) error {
	for {
		k, changed := a.board.Wait()
		if errors.Is(k.health.Err, redis.ErrTooOld) {
			return k.health.Err
		}
		a.publish(k, 0)
		todo, why := next(k, a.Me.ID, a.Registrar.Naming.Name(catalog.Master))
		if todo == quit {
			return errors.New(why)
		}
		if todo != contend {
			a.turn = turn{} // the lock is no longer as free as it was
		}
		again, err := a.act(ctx, k, todo, why)
		if err != nil {
			a.fails++
		} else if todo != wait {
			a.fails = 0
		}
		if todo == lead && err == nil {
			continue
		}
		if todo == lead { // what it changed itself is no news
			k, changed = a.board.Wait()
		}
		if !a.rest(ctx, k, changed, again, err) {
			return nil
		}
	}
}

// rest returns when it is time for the next step: something has changed, or again is over; after an error only when
// something has changed in Consul since, or after retryAfter, twice that the next time. It returns false when the context has ended.
func (a *Agent) rest(ctx context.Context, was known, changed <-chan struct{}, again time.Duration, err error) bool {
	var timer <-chan time.Time
	if err != nil {
		again = min(retryAfter<<min(a.fails-1, 10), retryMax)
	}
	if again > 0 {
		timer = time.After(again)
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer:
			return true
		case <-changed:
			var k known
			if k, changed = a.board.Wait(); err == nil || !k.view.Same(was.view) || k.session != was.session {
				return true
			}
		}
	}
}

// act carries one step out. An error has been logged.
func (a *Agent) act(ctx context.Context, k known, todo step, why string) (again time.Duration, err error) {
	switch todo {
	case wait:
		a.say(why, k.view.Err != nil)
	case contend:
		if again, err = a.contend(ctx, k); errors.Is(err, lock.ErrMoved) {
			a.Log.Debug("the lock is not to be had", "err", err)
		} else if err != nil && err.Error() != a.said && ctx.Err() == nil {
			a.Log.Warn("the lock is not to be had; trying on", "err", err)
			a.said = err.Error()
		}
	case lead:
		err = a.lead(ctx, k)
	case yield:
		a.release(ctx, k.session.ID, lock.WhyUnhealthy, why)
		again = retryAfter
	case follow:
		err = a.follow(ctx, k)
	}
	return again, err
}

// say logs once what is waited for.
func (a *Agent) say(why string, bad bool) {
	switch {
	case why == a.said:
	case bad:
		a.Log.Warn("waiting", "why", why)
	default:
		a.Log.Debug("waiting", "why", why)
	}
	a.said = why
}

// follow makes our Redis a replica of the published master.
func (a *Agent) follow(ctx context.Context, k known) error {
	m := k.view.State.Master
	res, err := handlers.Replicate(ctx, a.Redis, m.Address, m.RunID, a.Creds)
	refusal := ""
	if err != nil {
		refusal = err.Error()
		if refusal != k.refusal {
			a.Log.Warn("redis does not follow the master", "master", m.ID, "term", m.Term, "err", err)
		}
	} else if res.Changed {
		a.Log.Info("following", "master", m.ID, "addr", m.Address, "term", m.Term)
	}
	if refusal != k.refusal {
		a.board.Learn(func(k *known) { k.refusal = refusal })
	}
	if res.Changed {
		a.glance()
	}
	return err
}

// glance asks for a look at our Redis now, for we have changed it.
func (a *Agent) glance() { poke(a.look) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
