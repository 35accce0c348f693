package elect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers/redis"
)

const (
	// closeFor is what a silent master is given beyond its min-replicas-max-lag. Redis counts a replica that is late by MaxLag
	// in whole seconds, which is up to MaxLag + 1 s; it looks once a second, at a clock that may be 0.1 s old; that makes
	// MaxLag + 2.1 s, and the rest is for its clock beside ours.
	closeFor = 2500 * time.Millisecond
	// proveFor bounds how long the lock is kept without enough members that are known not to follow the old master.
	proveFor = 10 * time.Second
	// lookAgain is the pause between two looks at a master that is silent, and at those whom we parked.
	lookAgain = 200 * time.Millisecond
)

var errNoProof = errors.New("it is silent, and nothing proves that it accepts no writes; `resec failover -to ID -force` overrides")

// evidence is what is known of a silent master's guard.
type evidence struct {
	began, own time.Time // of the first look; since when our Redis does not follow it
	told       bool
}

// await gathers evidence that a silent master's guard has closed it: enough of the recorded members, ourselves included, are
// parked by us or gone, and so long that Redis counts none of them. A lease that is over is no proof, but with GUARD=off it
// is all there is. It looks once, and tells whether that is enough; an error where it will not be.
func (p *passage) await(ctx context.Context, v lock.View, old *lock.Master, proof *evidence) (closed bool, err error) {
	if !p.old.silent {
		p.old.silent = true
		crash.At("silent")
		p.depose(ctx)
	}
	switch {
	case p.Force != nil:
		p.Log.Warn("the old master is silent, and deposed by force: whether it accepts writes is not known", "master", old.ID)
		return true, nil
	case v.State.GivenUp(old.ID):
		p.Log.Info("the old master is silent, and its own agent has seen to it", "master", old.ID, "why", v.State.Why)
		return true, nil
	case old.Guard == lock.GuardOff:
		p.Log.Warn("the old master is silent, and has no guard: only the end of its lease speaks for it", "master", old.ID)
		return true, nil
	}
	if proof.began.IsZero() {
		proof.began = time.Now()
	}
	p.apart(ctx, v, proof)
	now, need, wait := time.Now(), v.State.Proof(), time.Duration(old.MaxLag)*time.Second+closeFor
	known, long := p.known(proof, now, 0), p.known(proof, now, wait)
	switch {
	case need == 0, known < need && now.Sub(proof.began) > proveFor:
		return false, fmt.Errorf("%w (%d members do not follow it, %d of %d would prove it)", errNoProof, known, need, v.State.Size(old.ID))
	case long >= need:
		crash.At("proven")
		p.Log.Warn("the old master is silent, and its guard has closed it", "master", old.ID, "known", known, "need", need)
		return true, nil
	case !proof.told:
		proof.told = true
		p.Log.Warn("the old master is silent: its guard is waited for", "master", old.ID, "addr", old.Address, "known", known, "need", need, "wait", wait)
	}
	select {
	case <-ctx.Done():
	case <-time.After(lookAgain):
	}
	return false, nil
}

// depose sends a silent master what it is to do when it goes on.
func (p *passage) depose(ctx context.Context) {
	opt := p.Creds
	opt.Addr = p.old.addr
	will := redis.NewTestament(opt)
	defer will.Close()
	if err := will.Execute(ctx); err != nil {
		p.Log.Debug("fence and park could not be sent to the silent master", "addr", opt.Addr, "err", err)
	}
}

// apart parks whom it can, and notes since when each member is known not to follow the old master. For one that had to be
// parked again that is now: it may have been attached meanwhile.
func (p *passage) apart(ctx context.Context, v lock.View, proof *evidence) {
	own, err := p.Redis.Status(ctx)
	away := err == nil && (own.Parked() || own.Master)
	if !away && err == nil {
		err, proof.own = p.Redis.Park(ctx), time.Time{}
	}
	proof.own = sinceWhen(proof.own, time.Now(), err == nil)
	p.each(func(m *sealed) {
		if m.err == nil {
			if st, err := m.server.Status(ctx); err == nil && st.Parked() && st.RunID == m.status.RunID {
				m.since = sinceWhen(m.since, time.Now(), true)
				return
			}
		}
		m.close()
		if m.err = p.park(ctx, v, m); m.moved {
			m.since = time.Time{}
		}
		m.since = sinceWhen(m.since, time.Now(), m.apart())
	})
}

// known is how many members, ourselves included, do not follow the old master for at least that long.
func (p *passage) known(proof *evidence, now time.Time, long time.Duration) (n int) {
	all := []time.Time{proof.own}
	for _, m := range p.sealed {
		all = append(all, m.since)
	}
	for _, since := range all {
		if !since.IsZero() && now.Sub(since) >= long {
			n++
		}
	}
	return n
}

// apart tells whether the member is known not to follow the old master.
func (m *sealed) apart() bool {
	return m.err == nil || redis.Refused(m.err) || errors.Is(m.err, errStranger)
}

// sinceWhen is since when something holds without a break; zero: it does not.
func sinceWhen(since, now time.Time, holds bool) time.Time {
	switch {
	case !holds:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}
