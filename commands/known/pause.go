package known

import (
	"context"
	"log/slog"
	"time"
)

// WatchPause keeps Paused true while a pause of the cluster is active by our clock, and logs its begin and end. It returns when
// the context ends.
func WatchPause(ctx context.Context, known *Value, log *slog.Logger) {
	for logged := false; ctx.Err() == nil; {
		k, changed := known.Watch()
		if k.View.Pause.Active(time.Now()) != k.Paused {
			known.Update(func(k *Snapshot) { k.Paused = k.View.Pause.Active(time.Now()) })
			continue
		}
		if k.Paused && !logged {
			log.Warn("cluster is paused; nothing is promoted, re-pointed or fenced until it ends; "+
				"a replica whose master is down is parked all the same", "event", "cluster_paused",
				"until", k.View.Pause.Until, "since", k.View.Pause.Since, "reason", k.View.Pause.Reason)
		} else if !k.Paused && logged {
			log.Warn("cluster is no longer paused", "event", "cluster_resumed")
		}
		logged = k.Paused
		var over <-chan time.Time
		if k.Paused {
			over = time.After(time.Until(k.View.Pause.Until))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over:
		}
	}
}
