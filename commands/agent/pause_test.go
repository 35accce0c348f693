package agent

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// A pause is over by our clock, without a change in Consul.
func TestWatchPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := bareAgent()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { a.watchPause(ctx) })
		a.known.Update(func(k *snapshot) { k.View.Pause = &cluster.Pause{Until: time.Now().Add(time.Minute)} })
		synctest.Wait()
		equal(t, "paused", a.known.Load().Paused, true)
		<-time.After(time.Minute - 1)
		equal(t, "paused until its end", a.known.Load().Paused, true)
		<-time.After(1)
		synctest.Wait()
		equal(t, "paused after it", a.known.Load().Paused, false)
		cancel()
		done.Wait()
	})
}

// Each signal logs the state, whatever the log's level is.
func TestDumpOnSignal(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	var log logBuffer
	a.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	signals, ended := make(chan os.Signal), make(chan struct{})
	a.DumpState = signals
	var done sync.WaitGroup
	done.Go(func() { a.dumpOnSignal(ended) })
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1 // the first one is done by then
	close(ended)
	done.Wait()
	equal(t, "states logged", strings.Count(log.String(), "event=state "), 2)
}

// Our Redis is parked when its master is down or another instance answers there, and only then.
func TestMasterMonitor_Parks(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	m := newMasterMonitor(a)
	of := *master("b", "run-b", 1)
	_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
	ok(t, err)
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"it answers", redis.Health{Status: redis.Status{RunID: "run-b"}}, false},
		{"it hangs", redis.Health{Err: errTimeout{}, Status: redis.Status{RunID: "run-b"}}, false},
		{"another instance answers", redis.Health{Status: redis.Status{RunID: "run-new"}}, true},
	} {
		m.observe(t.Context(), of, tt.h)
		equal(t, tt.name, a.local.now(t).Parked(), tt.want)
		equal(t, "failure without early takeover", a.known.Load().Failure, cluster.MasterFailure{})
	}
}
