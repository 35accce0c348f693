package stories_test

import (
	"fmt"
	"strings"
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
	name := fmt.Sprint("name=resec:m", m, " ")
	lab.Eventually(t, patience, func() error { // one that idles ends after 1 to 2 s
		list, err := k.Redis[m].Do("CLIENT", "LIST", "TYPE", "normal")
		old := 0
		for line := range strings.Lines(list) {
			age := 0
			_, after, _ := strings.Cut(line, " age=")
			if _, err := fmt.Sscan(after, &age); err == nil && strings.Contains(line, name) && age >= 4 {
				old++
			}
		}
		if err == nil && old < 3 { // for commands, to notice its end, and for the emergency
			err = fmt.Errorf("%d connections of the agent's have lasted:\n%s", old, list)
		}
		return err
	})
	fig, w, frozen := figures(t), watched(t, k), time.Now()
	k.Redis[m].Freeze()
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=emergency_fence_sent") })
	fig.within("a new master", succeeded(t, k, w, m).Sub(frozen), 5*time.Second) // its guard would close after 7.1 s
	k.Redis[m].Thaw()
	whole(t, k)
	if says(k.Agents[m], "event=emergency_fence_failed") > 0 {
		t.Error("fence and park could not be sent")
	}
	ok(t, k.Stop())
}
