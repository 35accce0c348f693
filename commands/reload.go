package commands

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// reloadTimeout bounds how long a connection waits for a value from files. Most waits take less than a millisecond.
	reloadTimeout = 100 * time.Millisecond
	// firstLoadTimeout bounds the first read, at the start, before which there is no value to use instead.
	firstLoadTimeout = 5 * time.Second
)

// A connection waits for two values, its login and its certificates. A dial during a failover takes 300 ms at most.
const _ = uint(300*time.Millisecond - 2*reloadTimeout)

// errSlowFile is returned for a file whose content is not there in time, for example because its network file system hangs.
var errSlowFile = errors.New("reading the file takes too long")

// reloaded is a value that is read from files again each time it is needed, because passwords and certificates are renewed
// while the program runs. If a read fails or hangs, the last value is used.
//
// At most one goroutine reads at a time. If the file system hangs, that goroutine hangs with it, and is the only one that
// does: it cannot be ended from outside, so nothing joins it.
type reloaded[T any] struct {
	name string // the variables of its files
	load func() (T, error)
	log  *slog.Logger

	mu      sync.Mutex
	last    T
	failure string // text of the last error, as logged; empty: none
	reading *reading
}

// reading is a read that has not returned yet.
type reading struct {
	done     chan struct{} // closed after its value was stored
	deadline time.Time     // until then callers wait for it
	err      error         // read after done is closed
}

// reloading returns a function that returns the current value of files, within reloadTimeout. It returns an error if the
// first read fails, or takes longer than firstLoadTimeout.
func reloading[T any](log *slog.Logger, name string, load func() (T, error)) (func() T, error) {
	r := &reloaded[T]{name: name, load: load, log: log}
	if err := r.first(); err != nil {
		return nil, err
	}
	return r.get, nil
}

// loadOnce returns the value of files. Its errors are those of reloading.
func loadOnce[T any](name string, load func() (T, error)) (value T, err error) {
	r := &reloaded[T]{name: name, load: load}
	if err := r.first(); err != nil {
		return value, err
	}
	return r.last, nil
}

// first is the first read.
func (r *reloaded[T]) first() error {
	err := r.refresh(firstLoadTimeout)
	if errors.Is(err, errSlowFile) {
		err = fmt.Errorf("invalid %s: %w", r.name, err)
	}
	return err
}

// get returns the value of now, or the last one.
func (r *reloaded[T]) get() T {
	err := r.refresh(reloadTimeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(err)
	return r.last
}

// refresh waits for a read that is under way, or a new one, until the read has taken the timeout. It returns errSlowFile if
// the read has not returned by then, which is at once for one that hangs.
func (r *reloaded[T]) refresh(timeout time.Duration) error {
	read := r.read(timeout)
	wait := time.NewTimer(time.Until(read.deadline))
	defer wait.Stop()
	select {
	case <-read.done:
		return read.err
	case <-wait.C:
	}
	select { // both may have been ready
	case <-read.done:
		return read.err
	default:
		return errSlowFile
	}
}

// read returns the read that is under way, and begins one if there is none.
func (r *reloaded[T]) read(timeout time.Duration) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil {
		return r.reading
	}
	read := &reading{done: make(chan struct{}), deadline: time.Now().Add(timeout)}
	r.reading = read
	go func() {
		value, err := r.load()
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			r.last = value
		}
		read.err, r.reading = err, nil
		close(read.done)
	}()
	return read
}

// report logs when reads begin to fail, when they fail otherwise, and when they succeed again. Its caller has locked r.mu.
func (r *reloaded[T]) report(err error) {
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if failure == r.failure {
		return
	}
	r.failure = failure
	if err != nil {
		r.log.Warn("cannot reload credentials or certificates; the last ones read stay in use until a reload succeeds",
			"event", "reload_failed", "variable", r.name, "err", err)
		return
	}
	r.log.Info("credentials or certificates are reloaded again", "event", "reload_recovered", "variable", r.name)
}
