package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/catalog"
	"resec/commands/elect"
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
		a.toldFollowing(k)
		a.tend(ctx, k)
		if a.vacant = a.vacant.next(k, time.Now()); a.vacant.term != a.failed { // what failed before was another matter
			a.failed, a.fails = a.vacant.term, 0
		}
		todo, why := next(k, a.Me.ID, a.Registrar.Naming.Name(catalog.Master))
		if todo == quit {
			return errors.New(why)
		}
		if todo != contend && todo != challenge {
			a.turn = turn{} // the lock is no longer as free as it was
		}
		again, err := a.act(ctx, k, todo, why)
		if err != nil {
			a.fails++
		} else if todo != wait && todo != abstain && todo != contend { // to have the lock is not yet a success
			a.fails = 0
		}
		if todo == lead && err == nil && ctx.Err() == nil {
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
	case abstain:
		a.refuse("redis may not lead: " + why)
	case contend:
		if again, err = a.contend(ctx, k); errors.Is(err, lock.ErrMoved) {
			a.Log.Debug("the lock is not to be had", "err", err)
		} else if err != nil && err.Error() != a.said && ctx.Err() == nil {
			a.Log.Warn("the lock is not to be had; trying on", "err", err)
			a.said = err.Error()
		}
	case challenge:
		a.refuse(why)
		again, err = a.challenge(ctx, k)
	case lead:
		err = a.lead(ctx, k)
	case yield:
		a.release(ctx, lock.CallTimeout, k.session.ID, lock.WhyUnhealthy, why)
		again = retryAfter
	case pass:
		err = a.pass(ctx, k)
	case follow:
		err = a.follow(ctx, k)
	case park:
		err = a.abide(ctx, k, why)
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
	to := handlers.Target{Addr: m.Address, RunID: m.RunID, Force: k.view.State.Overruled(a.Me.ID),
		Confirm: func(ctx context.Context) error { return a.holdsOn(ctx, k) }}
	res, err := handlers.Replicate(ctx, a.Redis, to, a.Creds)
	if errors.Is(err, lock.ErrMoved) {
		return nil
	}
	why := ""
	if err != nil {
		said := redis.Why(err) // which stays the same from one try to the next
		if errors.Is(err, handlers.ErrRefused) {
			said = err.Error()
		} else if errors.Is(err, errUnconfirmed) {
			said = errUnconfirmed.Error()
		}
		why = "redis does not follow the master " + m.ID + ": " + said
	}
	a.refuse(why)
	if res.Changed {
		a.Log.Info("following", "master", m.ID, "addr", m.Address, "term", m.Term)
		a.glance()
	}
	if errors.Is(err, handlers.ErrRefused) && !k.health.Status.Parked() || err != nil && !res.Changed && stray(k) { // that needs nobody's word
		return errors.Join(err, a.abide(ctx, k, why))
	}
	return err
}

var errUnconfirmed = errors.New("consul does not confirm it")

// holdsOn makes sure that the published master still holds the lock: whoever has it by now may have parked us, and count on
// that. Consul's answer is in time for the next step, or none.
func (a *Agent) holdsOn(ctx context.Context, k known) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, elect.FollowFor)
	defer cancel()
	v, err := a.Lock.Read(ctx)
	switch m := v.State.Master; {
	case err != nil:
		return fmt.Errorf("%w: %w", errUnconfirmed, err)
	case v.Session != k.view.Session || m == nil || m.RunID != k.view.State.Master.RunID:
		a.see(v)
		return lock.ErrMoved
	case time.Since(began) > elect.FollowFor: // this process hung
		return fmt.Errorf("%w in time", errUnconfirmed)
	}
	return nil
}

// abide parks our Redis until it may follow somebody.
func (a *Agent) abide(ctx context.Context, k known, why string) error {
	a.refuse(why)
	if k.health.Status.Parked() {
		return nil
	}
	if run := k.health.Status.RunID; stray(k) && a.warned != run {
		a.warned = run
		a.Log.Warn("redis came up as a master; start it with `--replicaof 127.0.0.1 1`, so that it takes no writes before it is elected",
			"redis", a.Redis.Addr())
	}
	if err := a.Redis.Park(ctx); err != nil {
		return err
	}
	a.glance()
	return nil
}

// refuse remembers, and logs once, why our Redis is not made to follow or to lead; nothing when it is.
func (a *Agent) refuse(why string) {
	if why == a.board.Get().refusal {
		return
	}
	a.board.Learn(func(k *known) { k.refusal = why })
	if why != "" {
		a.Log.Warn("waiting", "why", why)
	}
}

// tend puts right what somebody set on our Redis by hand, and takes the guard off one that is no master any more.
func (a *Agent) tend(ctx context.Context, k known) {
	st := k.health.Status
	if k.health.Err != nil || !k.seen || st.Master || k.paused {
		return
	}
	if st.Writable {
		if err := a.Redis.ReadOnly(ctx); err != nil {
			a.Log.Warn("replica-read-only is not yes, and could not be set", "err", err)
			return
		}
		a.Log.Warn("replica-read-only was not yes: a replica took writes; it is set")
		a.glance()
	}
	if is := (lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}); k.found.run == st.RunID && !st.Fenced() && is != k.found.Setting && k.found.noted(k, a.Me.ID) {
		a.giveBack(ctx, k.found)
	}
}

// glance asks for a look at our Redis now, for we have changed it.
func (a *Agent) glance() { poke(a.look) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
