package systemd

import (
	"context"
	"log/slog"

	"resec/commands/catalog"
	"resec/commands/known"
	"resec/commands/observable"
)

// Notifier notifies systemd of one agent: that it is ready, what the catalogue shows of it, and that it stops.
type Notifier struct {
	Socket     string // systemd's; empty: there is none
	Known      *known.Value
	Advertised *observable.Value[catalog.Entry] // what the catalogue is to show of the member
	Log        *slog.Logger
}

// Run notifies systemd of each change until the agent has ended. The context ends when the agent begins to stop. Run has a
// goroutine of its own.
func (n Notifier) Run(ctx context.Context, ended <-chan struct{}) {
	if n.Socket == "" {
		return
	}
	var sent Status
	stopping := ctx.Done()
	for over := false; ; {
		k, changed := n.Known.Watch()
		e, shown := n.Advertised.Watch()
		ready := k.Registered && k.Probed && k.Health.Err == nil
		lines := sent.Next(ready, over || ctx.Err() != nil, e.Output)
		if sent.Stopping() {
			stopping = nil
		}
		if err := Notify(n.Socket, lines); err != nil {
			n.Log.Warn("cannot notify systemd; it does not see this change", "event", "systemd_notify_failed", "err", err)
		}
		if over {
			return
		}
		select {
		case <-stopping:
		case <-changed:
		case <-shown:
		case <-ended:
			over = true
		}
	}
}
