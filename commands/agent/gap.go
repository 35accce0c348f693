package agent

import (
	"context"
	"time"
)

// gapEvery is how often this process looks whether it runs.
const gapEvery = 100 * time.Millisecond

// mindGaps fences the master that we are when this process has not run for long: the machine hung, and Redis with it, and
// another may lead by now. Redis itself looks at the lag of its replicas up to a second later, for it counts its own rounds;
// where the way to them is cut it does not see either that they have left. Consul is to say that the lock is still ours,
// and the guard's keeper lifts the fence then.
//
// Half of the lag is long enough: what hung for less closes 1 s and that half later than it should, at the latest, which is
// before a challenger, that has waited for the session's end and the whole lag, opens.
func (a *Agent) mindGaps(ctx context.Context) {
	limit := time.Duration(a.Guard.MaxLag) * time.Second / 2
	for ctx.Err() == nil {
		last := time.Now()
		select {
		case <-ctx.Done():
		case <-time.After(gapEvery):
		}
		gap := time.Since(last)
		if gap < limit || a.board.Get().view.State.Guard().Replicas <= 0 { // from a silent master without a guard nobody takes over
			continue
		}
		if err := a.Redis.Fence(ctx); err != nil {
			a.Log.Error("this process hung, and redis could not be fenced", "for", gap, "err", err)
			continue
		}
		a.Log.Warn("this process hung: redis is fenced until consul says that the lock is ours", "for", gap.Round(time.Millisecond))
		a.glance()
	}
}
