package agent

import (
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"resec/commands/expect"
)

// Each signal logs the state, whatever the log's level is.
func TestDumpOnSignal(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	var log expect.Log
	a.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	signals, ended := make(chan os.Signal), make(chan struct{})
	a.DumpState = signals
	var done sync.WaitGroup
	done.Go(func() { a.dumpOnSignal(t.Context(), ended) })
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR1 // the first one is done by then
	close(ended)
	done.Wait()
	expect.Equal(t, "states logged", strings.Count(log.String(), "event=state "), 2)
}
