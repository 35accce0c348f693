package output

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/expect"
)

// A write waits for a slow reader. It is given up once its limit, or its context, has ended. What is written later does not
// overtake it.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		s := NewStream(ctx, w)
		read := func() string {
			b := make([]byte, 10)
			n, err := r.Read(b)
			expect.OK(t, err)
			return string(b[:n])
		}
		if err := s.WriteWithin(time.Second, []byte("step")); !errors.Is(err, ErrNobodyReads) {
			t.Errorf("nobody reads: %v", err)
		}
		if err := s.WriteWithin(time.Second, []byte("next")); !errors.Is(err, ErrNobodyReads) {
			t.Errorf("the last write is still under way: %v", err)
		}
		slow := make(chan error)
		go func() { _, err := s.Write([]byte("result")); slow <- err }()
		<-time.After(time.Minute)
		expect.Equal(t, "first", read(), "step")
		expect.Equal(t, "then", read(), "result")
		expect.OK(t, <-slow)

		go func() { _, err := s.Write([]byte("late")); slow <- err }()
		<-time.After(time.Minute)
		began := time.Now()
		cancel()
		if err := <-slow; !errors.Is(err, ErrNobodyReads) {
			t.Errorf("interrupted: %v", err)
		}
		expect.Equal(t, "given up after", time.Since(began), FlushTimeout)
		expect.OK(t, r.Close())
		synctest.Wait()
	})
}
