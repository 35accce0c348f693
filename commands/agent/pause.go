package agent

import (
	"context"
	"time"
)

// watchPause says when a pause begins and ends, also by itself.
func (a *Agent) watchPause(ctx context.Context) {
	for said := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if on := k.View.Pause.Active(time.Now()); on != k.Paused {
			a.known.Update(func(k *snapshot) { k.SetView(k.View, time.Now()) })
			continue
		}
		if k.Paused != said {
			said = k.Paused
			if said {
				a.Log.Warn("the cluster is "+k.View.Pause.String(), "since", k.View.Pause.Since)
			} else {
				a.Log.Warn("the cluster is paused no longer")
			}
		}
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
