package agent

import (
	"context"
	"time"
)

// watchPause says when a pause begins and ends, also by itself.
func (a *Agent) watchPause(ctx context.Context) {
	for said := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if on := k.view.Pause.Active(time.Now()); on != k.paused {
			a.known.Update(func(k *snapshot) { k.setView(k.view) })
			continue
		}
		if k.paused != said {
			said = k.paused
			if said {
				a.Log.Warn("the cluster is "+k.view.Pause.String(), "since", k.view.Pause.Since)
			} else {
				a.Log.Warn("the cluster is paused no longer")
			}
		}
		var over <-chan time.Time
		if k.paused {
			over = time.After(time.Until(k.view.Pause.Until))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over:
		}
	}
}
