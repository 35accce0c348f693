package elect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

const (
	// closeFor is what a silent master is given beyond its min-replicas-max-lag. Redis counts a replica that is late by MaxLag
	// in whole seconds, which is up to MaxLag + 1 s; it looks once a second, at a clock that may be 0.1 s old; that makes
	// MaxLag + 2.1 s, and the rest is for its clock beside ours.
	closeFor = 2500 * time.Millisecond
	// proveFor bounds how long the lock is kept without enough members that are known not to follow the old master, and, beyond
	// what its guard takes, for members that come and go.
	proveFor = 10 * time.Second
	// FollowFor is how old Consul's word for a master may be when a replica is told to follow it. A challenger begins
	// its last look at who follows nobody so long after it was elected.
	FollowFor = 500 * time.Millisecond
	// LookAgain is the pause between two looks at a master that is silent, and at those who do not follow it.
	LookAgain = 200 * time.Millisecond
)

// ClosedAfter is how long enough members must not have followed a silent master, so that its guard has closed it.
func ClosedAfter(m *lock.Master) time.Duration { return time.Duration(m.MaxLag)*time.Second + closeFor }

var errNoProof = errors.New("it is silent, and nothing proves that it accepts no writes; `resec failover -to ID -force` overrides")

// evidence is what was done about a silent master's guard.
type evidence struct {
	began time.Time // of the first look
	told  bool
}

// await gathers evidence that a silent master's guard has closed it: enough of the recorded members, ourselves included, are
// parked by us or gone, and so long that Redis counts none of them. A lease that is over is no proof, but with GUARD=off it
// is all there is. It looks once, and tells whether that is enough; an error where it will not be.
func (p *passage) await(ctx context.Context, v lock.View, old *lock.Master, proof *evidence) (closed bool, err error) {
	need := v.State.Proof()
	trusted := p.Force != nil || v.State.GivenUp(old.ID) || old.Guard == lock.GuardOff
	if need == 0 && !trusted { // whoever is left where it is may follow it on
		return false, fmt.Errorf("%w (its guard is not known, or none)", errNoProof)
	}
	if !p.old.silent {
		p.old.silent = true
		p.Trace.step("silent")
		if !p.old.foreign { // or it may be another's, which would do as it is told
			p.tell(ctx, v.State.GivenUp(old.ID))
		}
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
	looked := time.Now()
	p.apart(ctx, v)
	now, wait := time.Now(), ClosedAfter(old)+p.Hangs
	known, long := p.known(now, 0), p.known(now, wait)
	switch {
	case long >= need && looked.Sub(p.began) >= FollowFor:
		p.Trace.step("proven")
		p.Log.Warn("the old master is silent, and its guard has closed it", "master", old.ID, "known", known, "need", need)
		return true, nil
	case known < need && now.Sub(proof.began) > proveFor, now.Sub(proof.began) > proveFor+wait:
		return false, fmt.Errorf("%w (%d members do not follow it, %d of %d would prove it)", errNoProof, known, need, v.State.Size(old.ID))
	case !proof.told:
		proof.told = true
		p.Log.Warn("the old master is silent: its guard is waited for", "master", old.ID, "addr", old.Address, "known", known, "need", need, "wait", wait)
	}
	select {
	case <-ctx.Done():
	case <-time.After(LookAgain):
	}
	return false, nil
}

// tell deposes a silent master. A frozen process is told at once; a machine that is gone, never. Where its own agent has told it
// already, that is not waited for.
func (p *passage) tell(ctx context.Context, already bool) {
	told := make(chan struct{})
	p.behind.Go(func() { defer close(told); p.depose(ctx) })
	if already {
		return
	}
	select {
	case <-told:
	case <-time.After(Brief):
	}
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

// apart parks whom it can, and notes who does not follow the old master.
func (p *passage) apart(ctx context.Context, v lock.View) {
	p.note(ctx, p.Me.ID, p.Redis.Status)
	if st, err := p.Redis.Status(ctx); err == nil && !st.Parked() && !st.Master && p.Redis.Park(ctx) == nil {
		p.note(ctx, p.Me.ID, p.Redis.Status)
	}
	p.each(func(m *sealed) {
		if m.err == nil {
			if st, err := m.server.Status(ctx); err == nil && st.Parked() && st.RunID == m.status.RunID {
				p.Vigil.Note(m.ID, st, nil, time.Now())
				return
			}
		}
		m.close()
		if m.err = p.park(ctx, v, m); m.moved { // it may have been attached meanwhile
			p.Vigil.Note(m.ID, redis.Status{}, nil, time.Now())
		}
		p.Vigil.Note(m.ID, m.status, m.err, time.Now())
	})
}

// note looks at a member.
func (p *passage) note(ctx context.Context, id string, look func(context.Context) (redis.Status, error)) {
	st, err := look(ctx)
	p.Vigil.Note(id, st, err, time.Now())
}

// known is how many members, ourselves included, do not follow the old master for at least that long.
func (p *passage) known(now time.Time, long time.Duration) int {
	ids := []string{p.Me.ID}
	for _, m := range p.sealed {
		ids = append(ids, m.ID)
	}
	return p.Vigil.Known(now, long, ids...)
}
