package localredis

import (
	"context"
	"time"

	"resec/commands/known"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

const (
	// intervalsPerTry is how many intervals of the probes pass before the commands are tried again.
	intervalsPerTry = 6
	// tryRetry is the pause after a try that said nothing.
	tryRetry = time.Second
)

// KeepRefusals keeps in the snapshot which of the commands that we need the server refuses. They are tried, without an effect, on
// each new instance, and again every few intervals: an ACL may change at any time. As KeepReplicationConfig does it waits until
// the lock was read and its state is that of masterService. It returns when the context ends. An agent runs it in one goroutine.
func (r *Redis) KeepRefusals(ctx context.Context, snapshot *known.Value, masterService string, interval time.Duration) {
	var logged logonce.Once
	var tried string // the instance
	var next time.Time
	for ctx.Err() == nil {
		k, changed := snapshot.Watch()
		run := k.Health.Status.RunID
		usable := mayConfigure(k, masterService) && k.Health.Err == nil && k.Health.AccessErr == nil
		if usable && (run != tried || !time.Now().Before(next)) {
			tried, next = run, time.Now().Add(r.tryCommands(ctx, snapshot, &logged, interval))
			continue
		}
		var due <-chan time.Time
		if usable {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
		}
	}
}

// tryCommands tries the commands, notes what is refused, and returns when to try again.
func (r *Redis) tryCommands(ctx context.Context, snapshot *known.Value, logged *logonce.Once,
	interval time.Duration) time.Duration {
	refused, err := r.server.TryCommands(ctx)
	if err != nil { // the probes say what is wrong with the server
		return tryRetry
	}
	snapshot.Update(func(k *known.Snapshot) { k.Refused = refused })
	r.logRefused(refused, logged)
	return intervalsPerTry * interval
}

func (r *Redis) logRefused(refused redis.MissingCommands, logged *logonce.Once) {
	why := refused.String()
	if why == "" && logged.Active() {
		logged.Reset()
		r.log.Info("redis allows all commands that resec needs again", "event", "commands_allowed", "redis", r.Addr())
	} else if why != "" && logged.Changed(why) {
		r.log.Warn("redis refuses commands that resec needs", "event", "commands_refused", "redis", r.Addr(), "why", why,
			"contends", refused.Lead() == "")
	}
}
