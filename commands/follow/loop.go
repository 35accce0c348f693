package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resec/commands/catalog"
	"resec/commands/lock"
	"resec/handlers"
)

// retryMin and retryMax bound the pause after a handler failed; it doubles.
const retryMin, retryMax = 200 * time.Millisecond, 5 * time.Second

// supersededAfter is how long a handler may run before a newer event ends it. A handler that works is not interrupted halfway,
// nor by events that come faster than it works; one that hangs delays the newer event by no more than this.
const supersededAfter = 10 * time.Second

const _ = uint64(handlers.Timeout - supersededAfter) // a newer event ends a handler sooner than its default timeout does

// errSuperseded is the cause of a context that ended because of a newer event.
var errSuperseded = errors.New("a newer event is waiting")

// loop invokes the handler for each event that it has not handled yet. A handler that fails is invoked again until another event
// replaces this one.
func (f *Follower) loop(ctx context.Context) {
	var handled handledKey
	var failures failureLog
	for ctx.Err() == nil {
		var retry <-chan time.Time
		k, changed := f.known.Watch()
		job := f.keyOf(k)
		if k.shouldInvoke(job, handled, f.Member) {
			err := f.invoke(ctx, k, job)
			if err == nil {
				handled, failures = job, failureLog{}
				continue
			}
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, errSuperseded) {
				f.Log.Warn("the handler ran for long while a newer event waited; it was ended, and is invoked for the newer event",
					"event", "handler_superseded", "after", supersededAfter, "err", err)
				continue
			}
			wait, log := failures.add(job, err)
			if log {
				f.Log.Warn("handler failed, retrying", "event", "handler_failed", "wait", wait, "err", err)
			}
			retry = time.After(wait)
		} else if job.digest == "" {
			handled = job // the same master is an event again when it comes back
		}
		f.waitForChange(ctx, k, changed, retry)
	}
}

// failureLog is how often the handler has failed for one event, and what was logged of it.
type failureLog struct {
	job  handledKey
	wait time.Duration
	kind string
}

// add notes a failure. It returns how long to wait before the next try, and reports whether to log the error.
func (l *failureLog) add(job handledKey, err error) (wait time.Duration, log bool) {
	if job != l.job {
		l.job, l.wait = job, 0
	}
	l.wait = min(max(2*l.wait, retryMin), retryMax)
	kind := lock.ErrorKind(err)
	log, l.kind = kind != l.kind, kind
	return l.wait, log
}

// shouldInvoke reports whether the handler is to be invoked for the event with the key now.
func (k snapshot) shouldInvoke(now, handled handledKey, member string) bool {
	return k.index != 0 && k.Fresh && now.digest != "" && now != handled && !k.heldBy(member) && !k.View.WentBack
}

func (k snapshot) heldBy(member string) bool { return !k.View.Free() && k.View.Holder == member }

// invoke invokes the handler for one event. It ends the handler after its timeout, or for a newer event.
func (f *Follower) invoke(ctx context.Context, k snapshot, job handledKey) error {
	ctx, supersede := context.WithCancelCause(ctx)
	bounded, stop := handlers.WithTimeout(ctx, f.Timeout)
	defer stop()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer supersede(nil)
	watching.Go(func() { f.endSuperseded(bounded, job, supersede) })
	return f.handle(bounded, k)
}

// endSuperseded calls end once the handler has run for supersededAfter and another event is waiting, or this member has the lock.
func (f *Follower) endSuperseded(ctx context.Context, job handledKey, end context.CancelCauseFunc) {
	due := time.Now().Add(supersededAfter)
	for {
		k, changed := f.known.Watch()
		var superseded <-chan time.Time
		if f.keyOf(k) != job || k.heldBy(f.Member) {
			superseded = time.After(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-superseded:
			end(errSuperseded)
			return
		}
	}
}

func (f *Follower) handle(ctx context.Context, k snapshot) error {
	if f.Replicate == nil {
		return f.Handler.Handle(ctx, k.event, fmt.Sprintf("CONSUL_INDEX=%d", k.index), "RESEC_MASTER="+k.publishedAddr())
	}
	to, _, err := selectMaster(k.entries, k.published(), f.Naming.Tag(catalog.Master))
	if err != nil {
		return err
	}
	return f.Replicate(ctx, to)
}

// waitForChange returns after a change, or when the context ends. With a retry it also returns at that time, and then only a
// change of the event or of the lock's holder counts.
func (f *Follower) waitForChange(ctx context.Context, k snapshot, changed <-chan struct{}, retry <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry:
			return
		case <-changed:
			var now snapshot
			now, changed = f.known.Watch()
			if retry == nil || f.keyOf(now) != f.keyOf(k) || now.View.Holder != k.View.Holder {
				return
			}
		}
	}
}
