package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
)

// requestPoll is the pause between two reads of the state of a request.
const requestPoll = 20 * time.Millisecond

// outcome reports whether a request is done, by a view of the lock: it was carried out, or, with an error, it was not.
type outcome func(cluster.View) (done bool, err error)

// submit makes an operator's request, waits for its outcome, and withdraws it. It returns the outcome's error, or one with
// exitTimeout if there is no outcome in time. It returns lock.ErrRequestPending if another request is under way.
func submit(ctx context.Context, l lock.Lock, r cluster.Request, timeout time.Duration, done outcome) (err error) {
	withdraw, err := l.CreateRequest(ctx, r)
	if err != nil {
		return err
	}
	defer func() {
		end := withdraw(context.WithoutCancel(ctx))
		switch {
		case end == nil:
		case err == nil:
			err = notWithdrawnError{end}
		default:
			err = errors.Join(err, fmt.Errorf("withdraw the request: %w", end))
		}
	}()
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var lastErr error
	for {
		v, err := l.Read(wait)
		if err == nil {
			if over, err := done(v); over || err != nil {
				return err
			}
		}
		if wait.Err() == nil {
			lastErr = err
		}
		select {
		case <-wait.Done():
			return coded(exitTimeout, withoutOutcome(ctx, timeout, lastErr))
		case <-time.After(requestPoll):
		}
	}
}

// notWithdrawnError is the error of a request that was carried out, and whose session is left: that ends with its TTL.
type notWithdrawnError struct{ error }

func (e notWithdrawnError) Error() string { return "withdraw the request: " + e.error.Error() }

// carriedOut reports whether a request was carried out.
func carriedOut(err error) bool {
	var left notWithdrawnError
	return err == nil || errors.As(err, &left)
}

// withoutOutcome is the error of a request that ended before it was carried out: it was interrupted, or took too long.
func withoutOutcome(ctx context.Context, timeout time.Duration, lastErr error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: the request is withdrawn; see resec status")
	}
	err := fmt.Errorf("no new master after %s: the request is withdrawn; see resec status and the agents' logs", timeout)
	if lastErr != nil {
		err = fmt.Errorf("%w; the last error was: %w", err, lastErr)
	}
	return err
}
