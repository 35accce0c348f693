// Package hooks runs commands of the operator's own after something was done, and never in the way of who did it.
package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"resec/handlers"
)

// Hook is one command, run on one kind of event.
type Hook struct {
	On      string // promote, replicate or fence
	Command *handlers.Command
}

const (
	// timeoutAfter bounds one run of a hook.
	timeoutAfter = 30 * time.Second
	// grace is how long a hook may take from SIGTERM to SIGKILL then.
	grace = time.Second
	// exitFor is how long hooks may go on once all else is done, and exitGrace the grace then.
	exitFor, exitGrace = time.Second, 100 * time.Millisecond
	// lastFor is from when the agent was told to leave until they are ended, but not before all else is done. That takes up to
	// 4.5 s where Consul is away: with 2 × exitGrace it is below 5 s.
	lastFor = 4 * time.Second
)

var errTimeout, errLeaves = errors.New("it took too long"), errors.New("the agent leaves")

// Runner runs hooks, one after the other. Its queue is bounded: each hook waits in it once, with the newest event.
type Runner struct {
	hooks   []Hook
	timeout time.Duration
	failed  func(hook string)
	log     *slog.Logger
	wake    chan struct{}

	mu      sync.Mutex
	queue   []job
	last    []string // how each hook failed last, that did
	leaving bool
}

// job is a hook, by its number, that is to be told an event.
type job struct {
	hook  int
	event []byte
	env   []string
}

// New makes a runner; failed, which may be nil, is told of each failure which kind of hook it was.
func New(hooks []Hook, failed func(hook string), log *slog.Logger) *Runner {
	r := &Runner{hooks: hooks, timeout: timeoutAfter, failed: failed, log: log, wake: make(chan struct{}, 1), last: make([]string, len(hooks))}
	for _, h := range hooks {
		h.Command.Grace = r.grace
	}
	return r
}

// Notify queues an event for all hooks of a kind, and returns at once.
func (r *Runner) Notify(on string, event any, env ...string) {
	data, err := json.Marshal(event)
	if err != nil {
		r.log.Error("an event cannot be encoded for hooks", "on", on, "err", err)
		return
	}
	data = append(data, '\n')
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range r.hooks {
		if h.On != on {
			continue
		}
		waiting := len(r.queue)
		r.queue = slices.DeleteFunc(r.queue, func(j job) bool { return j.hook == i })
		if len(r.queue) < waiting {
			r.log.Warn("a hook is not told of an event: a newer one came while it waited", "on", on, "hook", h.Command.Args)
		}
		r.queue = append(r.queue, job{i, data, env})
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Failures are how hooks failed last, one line for each that did.
func (r *Runner) Failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.last), func(s string) bool { return s == "" })
}

// Run runs what is told. Once over is closed nothing more is told; what is queued then has a moment, which is the shorter the
// longer ago leave ended. It leaves no child behind.
func (r *Runner) Run(leave context.Context, over <-chan struct{}) {
	work, kill := context.WithCancelCause(context.WithoutCancel(leave))
	defer kill(nil)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		r.work(work, over)
	}()
	select {
	case <-leave.Done():
	case <-over:
	}
	end := time.Now().Add(lastFor)
	<-over
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(min(exitFor, time.Until(end))):
	}
	kill(errLeaves)
	<-idle
	var all sync.WaitGroup
	for _, h := range r.hooks {
		all.Go(h.Command.End)
	}
	all.Wait()
}

// work runs one job after the other until there is none left, and no more to come, or the context ends.
func (r *Runner) work(ctx context.Context, over <-chan struct{}) {
	for last := false; ; {
		switch j, ok := r.next(); {
		case ok && ctx.Err() != nil:
			r.log.Warn("a hook is not told of an event: the agent leaves", "on", r.hooks[j.hook].On, "hook", r.hooks[j.hook].Command.Args)
			continue
		case ok:
			r.run(ctx, j)
			continue
		case last || ctx.Err() != nil:
			return
		}
		select {
		case <-r.wake:
		case <-over:
			last = true
		}
	}
}

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
		r.log.Info("a hook has run", "on", h.On, "hook", h.Command.Args, "took", time.Since(began).Round(time.Millisecond))
		return
	}
	r.log.Warn("a hook failed", "on", h.On, "err", err)
	r.mu.Lock()
	r.last[j.hook] = time.Now().Format(time.RFC3339) + " on " + h.On + ": " + err.Error()
	r.mu.Unlock()
	if r.failed != nil {
		r.failed(h.On)
	}
}

func (r *Runner) grace() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaving {
		return exitGrace
	}
	return grace
}
