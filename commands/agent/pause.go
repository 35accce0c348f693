package agent

import (
	"context"
	"time"
)

// watchPause says when a pause begins and ends, also by itself.
func (a *Agent) watchPause(ctx context.Context) {
	for said := false; ctx.Err() == nil; {
		k, changed := a.board.Wait()
		if on := k.view.Pause.On(time.Now()); on != k.paused {
			a.board.Learn(func(k *known) { k.see(k.view) })
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
