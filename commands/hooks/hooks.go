// Package hooks runs the operator's commands after a promotion, a fence or a new master. Events are queued, so that a hook delays
// no failover. One goroutine, Run, runs the hooks one after the other; it leaves no child process behind.
package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"resec/commands/observable"
	"resec/handlers"
)

// Hook is one command that is run on one kind of event.
type Hook struct {
	On      string // the kind of event: promote, replicate or fence
	Command *handlers.Command
}

const (
	// hookTimeout bounds one run of a hook.
	hookTimeout = 30 * time.Second
	// killDelay is the time from SIGTERM to SIGKILL for a hook that is ended.
	killDelay = time.Second
	// exitTimeout bounds the hooks that still wait or run after everything else of the agent has ended; exitKillDelay is the
	// killDelay then.
	exitTimeout, exitKillDelay = time.Second, 100 * time.Millisecond
	// lastEnd is how long after the agent's stop the hooks are ended, unless everything else of the agent ends later: that may
	// take 4.5 s if Consul is down. With two kill delays, of a running hook and of a background process, it is below 5 s.
	lastEnd = 4 * time.Second
)

// The hooks end within the 5 s that Nomad waits from SIGTERM to SIGKILL.
const _ = uint(5*time.Second - lastEnd - 2*exitKillDelay)

const _ = uint(hookTimeout - handlers.SlowAfter)

var (
	errTimeout      = errors.New("it took too long")
	errShuttingDown = errors.New("the agent is shutting down")
)

// Runner queues events and runs the hooks. The queue is bounded: each hook waits in it at most once, with its newest event.
type Runner struct {
	hooks   []Hook
	timeout time.Duration // of one run
	failed  func(on string)
	log     *slog.Logger
	wake    chan struct{} // an event was queued

	mu           sync.Mutex
	queue        []job
	lastFailure  []string // of each hook, by its number; empty: it has not failed yet
	shuttingDown bool
}

// job is one run of a hook that is due.
type job struct {
	hook  int // the number of the hook
	event []byte
	env   []string
}

// New returns a runner. Run calls failed, which may be nil, with the kind of event after each failure of a hook.
func New(hooks []Hook, failed func(on string), log *slog.Logger) *Runner {
	r := &Runner{hooks: hooks, timeout: hookTimeout, failed: failed, log: log}
	r.wake, r.lastFailure = make(chan struct{}, 1), make([]string, len(hooks))
	for _, h := range hooks {
		h.Command.Grace = r.killDelay
		h.Command.Slow = func() {
			log.Warn("hook still runs; later events wait for it", "event", "hook_slow", "on", h.On, "hook", h.Command.Args,
				"after", handlers.SlowAfter, "limit", hookTimeout)
		}
	}
	return r
}

// Notify queues an event for every hook of its kind. It does not block.
func (r *Runner) Notify(on string, event any, env ...string) {
	data, err := json.Marshal(event)
	if err != nil {
		r.log.Error("cannot encode an event; no hook gets it", "event", "hook_event_invalid", "on", on, "err", err)
		return
	}
	data = append(data, '\n')
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range r.hooks {
		if h.On == on {
			r.replace(job{i, data, env})
		}
	}
	observable.Signal(r.wake)
}

// replace queues a job last, instead of one of the same hook that still waits. The caller holds the lock.
func (r *Runner) replace(j job) {
	waiting := len(r.queue)
	r.queue = slices.DeleteFunc(r.queue, func(other job) bool { return other.hook == j.hook })
	if len(r.queue) < waiting {
		h := r.hooks[j.hook]
		r.log.Warn("hook skips an event: a newer one came while it waited",
			"event", "hook_event_superseded", "on", h.On, "hook", h.Command.Args)
	}
	r.queue = append(r.queue, j)
}

// Failures returns how each hook failed last, one line for each that has failed.
func (r *Runner) Failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.lastFailure), func(s string) bool { return s == "" })
}

// Run runs the hooks until ended is closed, after which Notify must not be called any more. Hooks that wait or run then have
// exitTimeout, but no longer than until lastEnd after the end of the context. Run returns when no child process is left.
func (r *Runner) Run(ctx context.Context, ended <-chan struct{}) {
	work, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		r.work(work, ended)
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	}
	end := time.Now().Add(lastEnd)
	<-ended
	r.setShuttingDown()
	select {
	case <-idle:
	case <-time.After(min(exitTimeout, time.Until(end))):
	}
	kill(errShuttingDown)
	<-idle
	var background sync.WaitGroup
	for _, h := range r.hooks {
		background.Go(h.Command.End)
	}
	background.Wait()
}

// work runs one job after the other until ended is closed and the queue is empty, or the context ends.
func (r *Runner) work(ctx context.Context, ended <-chan struct{}) {
	for last := false; ; {
		r.runQueue(ctx)
		if last || ctx.Err() != nil {
			return
		}
		select {
		case <-r.wake:
		case <-ended:
			last = true
		}
	}
}

// runQueue runs jobs until the queue is empty. After the end of the context it drops them instead.
func (r *Runner) runQueue(ctx context.Context) {
	for {
		j, ok := r.next()
		if !ok {
			return
		}
		if ctx.Err() == nil {
			r.run(ctx, j)
			continue
		}
		h := r.hooks[j.hook]
		r.log.Warn("hook skips an event: the agent is shutting down",
			"event", "hook_event_dropped", "on", h.On, "hook", h.Command.Args)
	}
}

// next takes the first job from the queue.
func (r *Runner) next() (j job, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return j, false
	}
	j, r.queue = r.queue[0], r.queue[1:]
	return j, true
}

func (r *Runner) run(ctx context.Context, j job) {
	h := r.hooks[j.hook]
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errTimeout)
	defer cancel()
	began := time.Now()
	err := h.Command.Handle(ctx, j.event, j.env...)
	if err == nil {
		took := time.Since(began).Round(time.Millisecond)
		r.log.Info("hook succeeded", "event", "hook_succeeded", "on", h.On, "hook", h.Command.Args, "took", took)
		return
	}
	r.log.Warn("hook failed; it is not repeated", "event", "hook_failed", "on", h.On, "err", err)
	r.mu.Lock()
	r.lastFailure[j.hook] = time.Now().Format(time.RFC3339) + " on " + h.On + ": " + err.Error()
	r.mu.Unlock()
	if r.failed != nil {
		r.failed(h.On)
	}
}

func (r *Runner) setShuttingDown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shuttingDown = true
}

// killDelay returns how long a hook has from SIGTERM to SIGKILL.
func (r *Runner) killDelay() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shuttingDown {
		return exitKillDelay
	}
	return killDelay
}
