package main

import (
	"sync"
	"time"
)

// listen starts to listen to the machine; what it returns ends that, and says by how much one was late at most who had
// nothing to do but to be in time.
func listen() (end func() time.Duration) {
	const every = 5 * time.Millisecond
	var all sync.WaitGroup
	var worst time.Duration
	stop := make(chan struct{})
	all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			now := time.Now()
			worst, last = max(worst, now.Sub(last)-every), now
		}
	})
	return func() time.Duration {
		close(stop)
		all.Wait()
		return worst
	}
}
