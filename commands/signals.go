package commands

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
)

// longRunning are the subcommands that SIGHUP does not end: logrotate, `kill -HUP` or a terminal that is closed sends it.
var longRunning = []string{"agent", "elect", "follow"}

// readOnly are the subcommands that may end at any moment, as most programs do when their terminal or their reader is gone.
var readOnly = []string{"status", "history"}

// catchSignals makes signals harmless that come from the outside of what a subcommand does. SIGHUP does nothing to one that runs
// until it is stopped, because files are read again at each connection; it interrupts another, as SIGTERM does. SIGPIPE, which a
// write to a pipe without a reader raises, does nothing. The function that is returned ends what was started.
func catchSignals(ctx context.Context, subcommand string, log *slog.Logger) (context.Context, func()) {
	if slices.Contains(readOnly, subcommand) {
		return ctx, func() {}
	}
	catchSIGPIPE()
	if signal.Ignored(syscall.SIGHUP) { // as under nohup
		return ctx, func() {}
	}
	if !slices.Contains(longRunning, subcommand) {
		return signal.NotifyContext(ctx, syscall.SIGHUP)
	}
	hangups, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var logging sync.WaitGroup
	logging.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-hangups:
				log.Info("SIGHUP changes nothing: Redis passwords, certificates and the Consul token are read again by themselves",
					"event", "hangup_ignored")
			}
		}
	})
	return ctx, func() {
		close(ended)
		logging.Wait() // until the process ends, SIGHUP must not end it: the channel stays
	}
}

// catchSIGPIPE makes a write to a pipe without a reader return an error. The signal is caught and not ignored, because child
// processes would ignore it, too. It stays caught until the process ends, because the last lines are written after all else.
var catchSIGPIPE = sync.OnceFunc(func() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) })
