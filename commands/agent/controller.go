package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/contend"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/pace"
	"resec/handlers"
	"resec/handlers/redis"
)

// controller takes a snapshot, asks cluster.Decide what to do, and carries that one step out, each time that something has
// changed. All its state is its goroutine's.
type controller struct {
	a         *Agent
	contender contend.Contender

	lastMaster    handlers.Peer  // the master that our Redis follows, as hooks were notified
	failedSources map[string]int // by run_id: how often our Redis could not catch up from a member
	foreign       localredis.ForeignChanges
	waiting       logonce.Once // what it waits for, as it was logged
	failing       logonce.Once // the failure of a step that was logged last
	readOnly      logonce.Once // why replica-read-only could not be set
	settings      logonce.Once // why the operator's settings could not be restored
	failures      int          // steps in a row that failed
	failedTerm    uint64       // in which term
	handovers     handovers    // because clients were not served
	handedOff     bool         // the lock was transferred to another member, which may have held our clients back

	background sync.WaitGroup // takeovers that still work on other members, and writes of the history
}

func newController(a *Agent) *controller {
	return &controller{a: a, failedSources: map[string]int{},
		foreign: localredis.ForeignChanges{Redis: a.local, ID: a.Me.ID, Confirm: a.confirmHolder}, contender: contend.Contender{
			ID: a.Me.ID, Lock: a.Lock, Surveyor: a.surveyor, Known: a.known,
			Probe: a.Probe, Interval: a.Registrar.Interval, SessionTTL: a.Session.TTL, EarlyTakeover: a.EarlyTakeover,
			BootstrapExpect: a.BootstrapExpect,
			Verify:          a.verifySession, Wrote: a.observer.Wrote, SetReason: a.setReason, ParkIfFollowing: a.local.ParkIfFollowing,
			Log: a.Log}}
}

func (a *Agent) masterService() string { return a.Registrar.Naming.Name(catalog.Master) }

// run works until the context ends (nil), or until it finds that the agent is misconfigured, or that it cannot manage this Redis.
func (c *controller) run(ctx context.Context) error {
	for {
		c.a.decided.beat()
		k, changed := c.a.known.Watch()
		if redis.Unsupported(k.Health.Err) {
			return k.Health.Err
		}
		todo, why := cluster.Decide(k.Snapshot, c.a.Me.ID, c.a.masterService())
		if todo == cluster.Misconfigured {
			return errors.New(why)
		}
		c.a.announcer.Advertise(k, 0)
		c.notifyFollowing(k)
		c.reconcile(ctx, k)
		c.foreign.Note(ctx, k)
		c.begin(k, todo)
		done := c.execute(ctx, k, todo, why)
		c.count(todo, done)
		if done.ranTerm { // what a term changed itself is no news
			k, changed = c.a.known.Watch()
		}
		if ctx.Err() != nil || !c.waitForNext(ctx, k, changed, done) {
			return nil
		}
	}
}

// outcome is what became of a step.
type outcome struct {
	again   time.Duration // when to look again; 0: on the next change
	ranTerm bool          // a term of ours began, and is over
	err     error         // it is logged
}

// begin keeps what the controller remembers in step with the snapshot.
func (c *controller) begin(k known.Snapshot, todo cluster.Action) {
	c.contender.Advance(k, todo)
	if term := c.contender.Leaderless.Term; term != c.failedTerm { // what failed in another term was another matter
		c.failedTerm, c.failures = term, 0
		c.failing.Reset()
	}
}

// triesOnly are the steps that are no success by themselves: those that wait, and those that may win the lock.
var triesOnly = []cluster.Action{cluster.Wait, cluster.Ineligible, cluster.Contend, cluster.Preempt}

// count counts steps in a row that failed. To have won the lock is not yet a success.
func (c *controller) count(todo cluster.Action, done outcome) {
	switch {
	case done.err != nil:
		c.failures++
	case done.ranTerm, !slices.Contains(triesOnly, todo):
		c.failures = 0
		c.failing.Reset()
	}
}

// waitForNext waits for a change, or until done.again has passed. After an error it waits for a change that may let the step
// succeed, or for minStepRetry; that pause doubles. It returns false if the context has ended.
func (c *controller) waitForNext(ctx context.Context, was known.Snapshot, changed <-chan struct{}, done outcome) bool {
	again := done.again
	if done.err != nil {
		again = min(minStepRetry<<min(c.failures-1, 10), maxStepRetry)
	}
	var timer <-chan time.Time
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
			var k known.Snapshot
			c.a.decided.beat()
			if k, changed = c.a.known.Watch(); done.err == nil || k.EndsRetryPause(was, done.ranTerm) {
				return true
			}
		}
	}
}

// immediately is a pause that is over at once: the next step follows without a change of the snapshot.
const immediately = time.Nanosecond

// execute carries one step out.
func (c *controller) execute(ctx context.Context, k known.Snapshot, todo cluster.Action, why string) (done outcome) {
	if todo != cluster.Wait {
		c.waiting.Reset()
	}
	switch todo {
	case cluster.Wait:
		c.logWait(why, k.View.Err != nil)
		if errors.Is(k.View.Err, cluster.ErrNewerVersion) {
			c.a.setReason(why)
		}
	case cluster.Ineligible:
		c.a.setReason("redis may not lead: " + why)
	case cluster.Contend:
		return c.contend(ctx, k, c.contender.Acquire)
	case cluster.Preempt:
		c.a.setReason(why)
		return c.contend(ctx, k, c.contender.Preempt)
	case cluster.Lead:
		return c.lead(ctx, k, nil)
	case cluster.StepDown:
		c.a.release(ctx, pace.Calls(ctx, releaseCalls), k.SessionID, cluster.WhyUnhealthy, why)
		done.again = minStepRetry
	case cluster.TransferLock:
		done.err = c.transferLock(ctx, k)
	case cluster.Follow:
		done.err = c.follow(ctx, k)
	case cluster.Park:
		done.err = c.parkAndWait(ctx, k, why)
	}
	return done
}

// contend gets the lock if it is this member's turn, and leads with it. If the agent was asked to stop meanwhile it does not
// lead: the end of its session frees the lock.
func (c *controller) contend(ctx context.Context, k known.Snapshot,
	try func(context.Context, known.Snapshot) (*contend.Won, time.Duration, error)) outcome {
	won, again, err := try(ctx, k)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, lock.ErrChanged) && c.isNew("acquire", err) {
			c.a.Log.Warn("cannot acquire the lock, retrying", "event", "acquire_failed", "key", c.a.Lock.Key, "err", err)
		}
		return outcome{again: again, err: err}
	}
	if won == nil || ctx.Err() != nil {
		return outcome{again: again}
	}
	k = c.a.known.Load()
	if next, _ := cluster.Decide(k.Snapshot, c.a.Me.ID, c.a.masterService()); next != cluster.Lead {
		return outcome{again: immediately} // a request, a pause or our Redis's end came in between
	}
	return c.lead(ctx, k, won)
}

// lead runs a term under the lock that we hold.
func (c *controller) lead(ctx context.Context, k known.Snapshot, won *contend.Won) outcome {
	err := newLeaderTerm(c, k).run(ctx, k, won)
	if errors.Is(err, lock.ErrNotHolder) { // the view was late; the watch shows that soon
		return outcome{again: minStepRetry, ranTerm: true}
	}
	return outcome{again: immediately, ranTerm: true, err: err}
}

// transferLock gives the lock to the member that an operator wants as master.
func (c *controller) transferLock(ctx context.Context, k known.Snapshot) error {
	to := k.View.Request.To
	v, err := c.a.Lock.Transfer(ctx, k.SessionID, k.View, to, k.View.State)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, lock.ErrChanged) && c.isNew("transfer", err) {
			c.a.Log.Warn("cannot transfer the lock to the member that an operator wants, retrying", "event", "transfer_failed",
				"to", to, "err", err)
		}
		return err
	}
	c.handedOff = true
	c.a.Log.Warn("lock is transferred to the member that an operator wants; it takes over",
		"event", "lock_transferred_for_operator", "to", to)
	c.a.observer.Wrote(v)
	return nil
}

// logWait logs once what the controller waits for.
func (c *controller) logWait(why string, bad bool) {
	if !c.waiting.Changed(why) {
		return
	}
	if bad {
		c.a.Log.Warn("the agent waits", "event", "agent_waits", "redis", c.a.local.Addr(), "why", why)
		return
	}
	c.a.Log.Debug("the agent waits", "event", "agent_waits", "redis", c.a.local.Addr(), "why", why)
}

// isNew reports whether a step's failure is to be logged: once for as long as the same step fails for the same kind of reason.
func (c *controller) isNew(step string, err error) bool {
	return c.failing.Changed(step + ": " + lock.ErrorKind(err))
}

// setReason notes, and logs once, why our Redis is not made to follow or to lead; empty: it is.
func (a *Agent) setReason(why string) {
	if why == a.known.Load().Reason {
		return
	}
	a.known.Update(func(k *known.Snapshot) { k.Reason = why })
	if why != "" {
		a.Log.Warn("redis neither follows nor leads", "event", "redis_waits", "redis", a.Creds.Addr, "why", why)
	}
}
