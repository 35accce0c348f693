package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// loop decides and acts, one step at a time, each time something has changed.
func (a *Agent) loop(ctx context.Context) error {
	for {
		k, changed := a.known.Watch()
		if errors.Is(k.Health.Err, redis.ErrTooOld) {
			return k.Health.Err
		}
		a.advertise(k, 0)
		a.notifyFollowing(k)
		a.reconcileLocal(ctx, k)
		if a.leaderless = a.leaderless.Advance(k.Snapshot, time.Now()); a.leaderless.Term != a.failedTerm { // what failed before was another matter
			a.failedTerm, a.failures = a.leaderless.Term, 0
		}
		todo, why := cluster.Decide(k.Snapshot, a.Me.ID, a.Registrar.Naming.Name(catalog.Master))
		if todo == cluster.Misconfigured {
			return errors.New(why)
		}
		if todo != cluster.Contend && todo != cluster.Preempt {
			a.delay = electionDelay{} // the lock is no longer as free as it was
		}
		again, err := a.execute(ctx, k, todo, why)
		if err != nil {
			a.failures++
		} else if todo != cluster.Wait && todo != cluster.Ineligible && todo != cluster.Contend { // to have the lock is not yet a success
			a.failures = 0
		}
		if todo == cluster.Lead && err == nil && ctx.Err() == nil {
			continue
		}
		if todo == cluster.Lead { // what it changed itself is no news
			k, changed = a.known.Watch()
		}
		if !a.waitForNext(ctx, k, changed, again, err) {
			return nil
		}
	}
}

// waitForNext returns when it is time for the next step: something has changed, or again is over; after an error only when
// something has changed in Consul since, or after retryAfter, twice that the next time. It returns false when the context has ended.
func (a *Agent) waitForNext(ctx context.Context, was snapshot, changed <-chan struct{}, again time.Duration, err error) bool {
	var timer <-chan time.Time
	if err != nil {
		again = min(minStepRetry<<min(a.failures-1, 10), maxStepRetry)
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
			var k snapshot
			if k, changed = a.known.Watch(); err == nil || !k.View.SameLock(was.View) || k.session != was.session {
				return true
			}
		}
	}
}

// execute carries one step out. An error has been logged.
func (a *Agent) execute(ctx context.Context, k snapshot, todo cluster.Action, why string) (again time.Duration, err error) {
	switch todo {
	case cluster.Wait:
		a.logOnce(why, k.View.Err != nil)
	case cluster.Ineligible:
		a.setReason("redis may not lead: " + why)
	case cluster.Contend:
		if again, err = a.contend(ctx, k); errors.Is(err, lock.ErrChanged) {
			a.Log.Debug("the lock is not to be had", "err", err)
		} else if err != nil && err.Error() != a.lastLogged && ctx.Err() == nil {
			a.Log.Warn("the lock is not to be had; trying on", "err", err)
			a.lastLogged = err.Error()
		}
	case cluster.Preempt:
		a.setReason(why)
		again, err = a.preempt(ctx, k)
	case cluster.Lead:
		err = a.runTerm(ctx, k)
	case cluster.StepDown:
		a.release(ctx, lock.CallTimeout, k.session.ID, cluster.WhyUnhealthy, why)
		again = minStepRetry
	case cluster.TransferLock:
		err = a.transferLock(ctx, k)
	case cluster.Follow:
		err = a.follow(ctx, k)
	case cluster.Park:
		err = a.parkAndWait(ctx, k, why)
	}
	return again, err
}

// logOnce logs once what is waited for.
func (a *Agent) logOnce(why string, bad bool) {
	switch {
	case why == a.lastLogged:
	case bad:
		a.Log.Warn("waiting", "why", why)
	default:
		a.Log.Debug("waiting", "why", why)
	}
	a.lastLogged = why
}

// follow makes our Redis a replica of the published master.
func (a *Agent) follow(ctx context.Context, k snapshot) error {
	m := k.View.State.Master
	to := handlers.Target{Addr: m.Address, RunID: m.RunID, Force: k.View.State.ForcedToFollow(a.Me.ID),
		Confirm: func(ctx context.Context) error { return a.confirmHolder(ctx, k) }}
	res, err := handlers.Replicate(ctx, a.Redis, to, a.Creds)
	if errors.Is(err, lock.ErrChanged) {
		return nil
	}
	why := ""
	if err != nil {
		said := redis.Summary(err) // which stays the same from one try to the next
		if errors.Is(err, handlers.ErrRefused) {
			said = err.Error()
		} else if errors.Is(err, errUnconfirmed) {
			said = errUnconfirmed.Error()
		}
		why = "redis does not follow the master " + m.ID + ": " + said
	}
	a.setReason(why)
	if res.Changed {
		a.Log.Info("following", "master", m.ID, "addr", m.Address, "term", m.Term)
		a.probeSoon()
	}
	if errors.Is(err, handlers.ErrRefused) && !k.Health.Status.Parked() || err != nil && !res.Changed && cluster.UnelectedMaster(k.Snapshot) { // that needs nobody's word
		return errors.Join(err, a.parkAndWait(ctx, k, why))
	}
	return err
}

var errUnconfirmed = errors.New("consul does not confirm it")

// confirmHolder makes sure that the published master still holds the lock: whoever has it by now may have parked us, and count on
// that. Consul's answer is in time for the next step, or none.
func (a *Agent) confirmHolder(ctx context.Context, k snapshot) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, takeover.FollowConfirmTimeout)
	defer cancel()
	v, err := a.Lock.Read(ctx)
	switch m := v.State.Master; {
	case err != nil:
		return fmt.Errorf("%w: %w", errUnconfirmed, err)
	case v.Session != k.View.Session || m == nil || m.RunID != k.View.State.Master.RunID:
		a.observeView(v)
		return lock.ErrChanged
	case time.Since(began) > takeover.FollowConfirmTimeout: // this process hung
		return fmt.Errorf("%w in time", errUnconfirmed)
	}
	return nil
}

// parkAndWait parks our Redis until it may follow somebody.
func (a *Agent) parkAndWait(ctx context.Context, k snapshot, why string) error {
	a.setReason(why)
	if k.Health.Status.Parked() {
		return nil
	}
	if run := k.Health.Status.RunID; cluster.UnelectedMaster(k.Snapshot) && a.warnedRunID != run {
		a.warnedRunID = run
		a.Log.Warn("redis came up as a master; start it with `--replicaof 127.0.0.1 1`, so that it takes no writes before it is elected",
			"redis", a.Redis.Addr())
	}
	if err := a.Redis.Park(ctx); err != nil {
		return err
	}
	a.probeSoon()
	return nil
}

// setReason remembers, and logs once, why our Redis is not made to follow or to lead; nothing when it is.
func (a *Agent) setReason(why string) {
	if why == a.known.Load().Reason {
		return
	}
	a.known.Update(func(k *snapshot) { k.Reason = why })
	if why != "" {
		a.Log.Warn("waiting", "why", why)
	}
}

// reconcileLocal puts right what somebody set on our Redis by hand, and takes the guard off one that is no master any more.
func (a *Agent) reconcileLocal(ctx context.Context, k snapshot) {
	st := k.Health.Status
	if k.Health.Err != nil || !k.Probed || st.Master || k.Paused {
		return
	}
	if st.ReplicaWritable {
		if err := a.Redis.ReadOnly(ctx); err != nil {
			a.Log.Warn("replica-read-only is not yes, and could not be set", "err", err)
			return
		}
		a.Log.Warn("replica-read-only was not yes: a replica took writes; it is set")
		a.probeSoon()
	}
	if is := (cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}); k.Operator.RunID == st.RunID && !st.Fenced() && is != k.Operator.MinReplicas && k.Operator.Persisted(k.Snapshot, a.Me.ID) {
		a.restoreSettings(ctx, k.Operator)
	}
}

// probeSoon asks for a look at our Redis now, for we have changed it.
func (a *Agent) probeSoon() { signal(a.probeNow) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
