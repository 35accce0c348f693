package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/expect"
)

// A call that takes as long as the timeout doubles it, up to a bound. One that is answered sooner shortens it again.
func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := With(t.Context())
		call := func(took time.Duration) error {
			bounded, end := Begin(ctx)
			var err error
			select {
			case <-bounded.Done():
				err = bounded.Err()
			case <-time.After(took):
			}
			end(err)
			return err
		}
		const slow = 5 * time.Second
		if err := call(slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first call: %v", err)
		}
		expect.Equal(t, "after a call without an answer", Timeout(ctx), 2*CallTimeout)
		expect.OK(t, call(slow))
		expect.Equal(t, "after a late answer", Timeout(ctx), 2*slow)
		expect.Equal(t, "one call", Calls(ctx, 1), 2*slow)
		expect.Equal(t, "many calls", Calls(ctx, 9), maxCalls)
		_, end := Begin(ctx)
		end(errors.New("consul answers 500"))
		expect.Equal(t, "after an error at once", Timeout(ctx), 2*slow)
		_ = call(time.Hour)
		_ = call(time.Hour)
		expect.Equal(t, "at most", Timeout(ctx), maxCallTimeout)
		expect.OK(t, call(time.Millisecond))
		expect.Equal(t, "after a fast answer", Timeout(ctx), CallTimeout)
	})
}

// A call that was given up, or that this process ended, says nothing about Consul.
func TestBegin_GivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := With(t.Context())
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		bounded, end := Begin(short)
		<-bounded.Done()
		end(bounded.Err())
		_, end = Begin(ctx)
		<-time.After(2 * time.Second)
		end(context.Canceled)
		expect.Equal(t, "the timeout", Timeout(ctx), CallTimeout)
		expect.Equal(t, "without a pace", Timeout(t.Context()), CallTimeout)
		_, end = Begin(t.Context())
		end(nil)
	})
}
