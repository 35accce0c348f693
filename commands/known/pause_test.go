package known

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/observable"
)

// A pause is over by our clock, without a change in Consul.
func TestWatchPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := observable.New[Snapshot]()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { WatchPause(ctx, known, slog.New(slog.DiscardHandler)) })
		known.Update(func(k *Snapshot) { k.View.Pause = &cluster.Pause{Until: time.Now().Add(time.Minute)} })
		synctest.Wait()
		expect.Equal(t, "paused", known.Load().Paused, true)
		<-time.After(time.Minute - 1)
		expect.Equal(t, "paused", known.Load().Paused, true)
		<-time.After(1)
		synctest.Wait()
		expect.Equal(t, "paused", known.Load().Paused, false)
		cancel()
		done.Wait()
	})
}
