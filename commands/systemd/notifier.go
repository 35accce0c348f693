package systemd

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/catalog"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/commands/observable"
)

// notifyRetry is the pause after a message that was not delivered.
const notifyRetry = time.Second

// Notifier notifies systemd of one agent: that it is ready, what the catalogue shows of it, that it stops, and that it is not
// hung.
type Notifier struct {
	Socket     string // systemd's; empty: there is none
	Known      *known.Value
	Advertised *observable.Value[catalog.Entry] // what the catalogue is to show of the member
	Watchdog   time.Duration                    // systemd ends the process if it hears nothing for so long; 0: it does not
	Decided    func() time.Time                 // when the goroutine that decides last began a step
	Log        *slog.Logger
}

// Run notifies systemd of each change until the agent has ended. What was not delivered is sent again. The context ends when the
// agent begins to stop. Run has a goroutine of its own.
func (n Notifier) Run(ctx context.Context, ended <-chan struct{}) {
	if n.Socket == "" {
		return
	}
	var delivered Status
	var failing, hung logonce.Once
	feed, stopFeeding := n.feeding()
	defer stopFeeding()
	stopping := ctx.Done()
	for over, due := false, false; ; {
		k, changed := n.Known.Watch()
		e, shown := n.Advertised.Watch()
		ready := k.Registered && k.Probed && k.Health.Err == nil
		lines, next := delivered.Next(ready, over || ctx.Err() != nil, e.Output)
		if due && n.mayFeed(delivered, &hung) {
			lines = append(lines, "WATCHDOG=1")
		}
		err := Notify(n.Socket, lines)
		retry := n.after(err, &failing)
		if err == nil {
			delivered = next
		}
		if over {
			return
		}
		if ctx.Err() != nil {
			stopping = nil
		}
		due = due && err != nil
		select {
		case <-stopping:
		case <-changed:
		case <-shown:
		case <-retry:
		case <-feed:
			due = true
			// The goroutine that decides begins a step for this change, and so has done by the next time.
			n.Known.Update(func(*known.Snapshot) {})
		case <-ended:
			over = true
		}
	}
}

// feeding returns a channel that receives when the watchdog is to be fed: twice in its interval.
func (n Notifier) feeding() (<-chan time.Time, func()) {
	if n.Watchdog == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(n.Watchdog / 2)
	return t.C, t.Stop
}

// mayFeed reports whether the watchdog is fed, and logs when that ends.
func (n Notifier) mayFeed(delivered Status, hung *logonce.Once) bool {
	decided := n.Decided()
	if delivered.Feeds(decided, time.Now()) || !delivered.ready {
		hung.Reset()
		return delivered.ready
	}
	if hung.Changed("hung") {
		n.Log.Error("the goroutine that decides hangs; systemd's watchdog is not fed, and ends this process",
			"event", "watchdog_not_fed", "since", decided)
	}
	return false
}

// after logs a failure once for as long as it lasts, and returns when to try again.
func (n Notifier) after(err error, failing *logonce.Once) <-chan time.Time {
	if err == nil {
		failing.Reset()
		return nil
	}
	if failing.Changed(err.Error()) {
		n.Log.Warn("cannot notify systemd, retrying", "event", "systemd_notify_failed", "err", err)
	}
	return time.After(notifyRetry)
}
