package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// Early take-over. The agent of a dead master ends its session, unless it died too: then Consul waits for the check's TTL, or
// for twice the session's. A replica's agent ends that session before, on the evidence on which a take-over would go on that
// had the lock already: nothing listens at the master's address, or another run does; or the master is silent, and enough
// members follow nobody for so long that its guard has closed it. What is wrong with that evidence (a network that rejects) is
// wrong with the take-over's, which asks the old master once more before all else; ending a session adds nothing to it, for no
// safety rests on the lock, and a holder that lives takes it again at once.

// goneFor is from when the watch finds nothing at the master's address until the others are asked, and between two looks that
// both find nothing there: its own agent, where it lives, needs some ten milliseconds to give the lock up, and says why.
const goneFor = 300 * time.Millisecond

// missing is a published master as the watch on it sees it.
type missing struct {
	run    string // of the master; empty: none is watched
	gone   bool   // nothing listens, or another run answers
	silent bool
	since  time.Time // it is one of both
	left   time.Time // it is gone
}

// miss learns how a master is.
func (a *Agent) miss(m lock.Master, h redis.Health) {
	was, is := a.board.Get().missing, missing{run: m.RunID, gone: gone(h, m.RunID), silent: redis.Silent(h.Err)}
	switch {
	case !is.gone && !is.silent:
	case was.run == is.run && !was.since.IsZero():
		is.since = was.since
	default:
		is.since = time.Now()
	}
	if was.run == is.run && was.gone && is.gone {
		is.left = was.left
	} else if is.gone {
		is.left = time.Now()
	}
	if was != is {
		a.board.Learn(func(k *known) { k.missing = is })
	}
}

// bereft tells whether the published master, whose session holds the lock, is gone or silent, and our Redis might be the next.
func bereft(k known, id string) bool {
	m, st := k.view.State.Master, k.health.Status
	if m == nil || m.ID == id || m.ID != k.view.Holder || k.missing.run != m.RunID || !k.missing.gone && !k.missing.silent {
		return false
	}
	return k.session != nil && unusable(k.health) == "" && k.view.State.Bar(id, st.RunID) == "" && !k.view.Request.Stands() &&
		!st.Master && (st.Of == m.Address || st.Parked()) && (k.missing.gone || k.view.State.Proof() > 0)
}

// bereavement is what is known of one master that is missing.
type bereavement struct {
	index uint64 // of the lock
	run   string
	vigil *elect.Vigil
	gone  time.Time // since when each look found nothing at its address; zero: the last did not
	last  time.Time // of those looks
}

// challenge ends the session of a holder that is gone, and takes the lock, when that is proven and it is our turn.
func (a *Agent) challenge(ctx context.Context, k known) (again time.Duration, err error) {
	m := k.view.State.Master
	if k.session.Lease.Left(time.Now()) == 0 { // with the lock we could do nothing
		return lookAgain, nil
	}
	if b := &a.bereft; b.run != m.RunID || b.index != k.view.LockIndex {
		*b = bereavement{index: k.view.LockIndex, run: m.RunID, vigil: elect.NewVigil(), gone: k.missing.left, last: k.missing.left}
	}
	if left := k.missing.left; !left.IsZero() && time.Since(left) < goneFor { // its agent is at it, if it lives
		return goneFor - time.Since(left), nil
	}
	looking, end := a.unmoved(ctx, k)
	defer end()
	if !k.health.Status.Parked() {
		err = a.desert(looking, m)
	}
	var cs []lock.Candidate
	var silent []string
	if err == nil {
		cs, silent, err = a.ask(looking, k)
	}
	if looking.Err() != nil { // as its own agent does when it gives the lock up: that is the shorter way
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if slices.ContainsFunc(cs, func(c lock.Candidate) bool { return c.ID == m.ID && c.RunID == m.RunID }) {
		a.board.Learn(func(k *known) { k.missing = missing{} })
		return lookAgain, nil
	}
	now := time.Now()
	wait := a.bereft.proven(k.view.State, elect.ClosedAfter(m)+a.hangs(m), now)
	if wait > 0 {
		return wait, nil
	}
	slow := slices.ContainsFunc(silent, func(id string) bool { return id != m.ID }) // and may be fresher
	rank := a.rank(cs, k)
	if rank < 0 || slow && now.Sub(k.missing.since) < a.grace() {
		return elect.LookAgain, nil
	}
	if wait = time.Duration(rank) * stagger; wait > 0 && !a.turn.stands(k) {
		a.turn = turn{k.view, k.health.Status.Of, now.Add(wait)}
	}
	if wait > 0 && now.Before(a.turn.at) {
		return min(elect.LookAgain, a.turn.at.Sub(now)), nil
	}
	v, err := a.Lock.Usurp(context.WithoutCancel(ctx), k.session.ID, k.view, k.view.State.Weave(k.view.State.Continued(k.health.Status)))
	if err != nil {
		if errors.Is(err, lock.ErrMoved) {
			a.Log.Debug("the lock is not to be had", "err", err)
			return elect.LookAgain, nil
		}
		return 0, err
	}
	a.acquired = acquired{v.LockIndex, k.missing.since}
	a.Log.Warn("elected early: the master is missing, and its agent does not say so", "key", a.Lock.Key, "master", m.ID, "session", k.view.Session)
	a.wrote(v)
	return 0, nil
}

// unmoved is a context for what is worth nothing any more once lock or state have changed.
func (a *Agent) unmoved(ctx context.Context, was known) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	a.aside.Go(func() {
		for ctx.Err() == nil {
			k, changed := a.board.Wait()
			if !k.view.Same(was.view) {
				cancel()
			}
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	})
	return ctx, cancel
}

// desert parks our Redis, so that a silent master's guard closes it, if one more look says the same: one that was silent at the
// last may have been out of reach, and be back.
func (a *Agent) desert(ctx context.Context, m *lock.Master) error {
	if st, err := a.peek(ctx, m.Address, false); err == nil && st.RunID == m.RunID {
		return nil
	}
	if own, err := a.Redis.Status(ctx); err != nil || own.Master || own.Of != m.Address {
		return err
	}
	a.Log.Warn("the master is silent; our redis is parked, so that it closes", "master", m.ID, "addr", m.Address)
	defer a.glance()
	return a.Redis.Park(ctx)
}

// hangs is the function of that name, for a master.
func (a *Agent) hangs(m *lock.Master) time.Duration {
	return hangs(time.Duration(m.MaxLag)*time.Second, a.Registrar.Interval, a.silent())
}

// proven is how long to look again until it is proven that the master accepts no writes; 0: it is.
func (b *bereavement) proven(s lock.State, closed time.Duration, now time.Time) time.Duration {
	if !b.gone.IsZero() {
		return max(0, goneFor-now.Sub(b.gone))
	}
	need := s.Proof()
	others := slices.DeleteFunc(slices.Collect(maps.Keys(s.Record)), func(id string) bool { return id == s.Master.ID })
	if need > 0 && b.vigil.Known(now, closed, others...) >= need {
		return 0
	}
	return elect.LookAgain
}

// note takes in what a member answered.
func (b *bereavement) note(id string, m *lock.Master, st redis.Status, err error, at time.Time) {
	if b.vigil == nil || m == nil {
		return
	}
	if id != m.ID {
		b.vigil.Note(id, st, err, at)
		return
	}
	if at.Sub(b.last) > 4*goneFor { // what was before is no first look to this one
		b.gone = time.Time{}
	}
	b.last = at
	switch {
	case !elect.Gone(err) && (err != nil || st.RunID == b.run):
		b.gone = time.Time{}
	case b.gone.IsZero():
		b.gone = at
	}
}

// rank is how many rank before us whose agents live; negative: we may not lead.
func (a *Agent) rank(cs []lock.Candidate, k known) int {
	s := k.view.State
	ranked := slices.DeleteFunc(lock.Rank(cs, s, lock.Bound), func(c lock.Candidate) bool { return c.ID != a.Me.ID && k.view.Members[c.ID].Session == "" })
	return slices.IndexFunc(ranked, func(c lock.Candidate) bool { return c.ID == a.Me.ID })
}
