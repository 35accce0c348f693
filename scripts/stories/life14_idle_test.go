package stories_test

import (
	"testing"
	"time"

	"resec/scripts/lab"
)

// Redis servers that end idle connections: a master that freezes is fenced all the same, so its guard is not waited for.
func TestLife14_IdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, RedisArgs: []string{"--timeout", "1"}})
	m := started(t, k)
	for _, r := range k.Redis { // so that each connection is of this story
		lab.Eventually(t, patience, func() error { // the connection of the test itself may have ended, too
			_, err := r.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			return err
		})
	}
	// One that idles would have ended by then.
	throughout(t, 4*time.Second, func() error { return k.Redis[m].IsMaster(2) })
	fig, frozen := figures(t), time.Now()
	k.Redis[m].Freeze()
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=emergency_fence_sent") })
	succeededBy(t, k, m)
	fig.within("a new master", time.Since(frozen), 5*time.Second) // its guard would close after 7.1 s
	k.Redis[m].Thaw()
	whole(t, k)
	if says(k.Agents[m], "event=emergency_fence_failed") > 0 {
		t.Error("fence and park could not be sent")
	}
	ok(t, k.Stop())
}
