package stories_test

import (
	"errors"
	"path"
	"testing"

	"resec/scripts/lab"
)

// All keys are deleted by a prefix that is shorter than the lock's key, after the last change below that was a deletion: Consul
// shows the index of that one still, and wakes no watch. The agents write the state back with the next answer, and the same Redis leads.
func TestWrite06_DeletedByAShorterPrefix(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	before, err := stateOf(k)
	ok(t, err)
	for _, command := range [][]string{{"pause", "-for", "1h"}, {"resume"}} {
		if stdout, stderr, code, err := k.Run(0, "", command...); err != nil || code != 0 {
			t.Fatalf("%s: exit %d %v: %s%s", command, code, err, stdout, stderr)
		}
	}
	whole(t, k)
	_, err = k.Consul.Client.KV().DeleteTree(path.Dir(lockKey(k))+"/", nil)
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		now, err := stateOf(k)
		if err == nil && now.Master.RunID != before.Master.RunID {
			err = errors.New("the state is not written back")
		}
		return err
	})
	whole(t, k)
	leads(t, k, m)
	kill(k.Agents[m], k.Redis[m].Process)
	lab.Eventually(t, patience, func() error {
		now, err := k.Master()
		if err == nil && now == m {
			err = errors.New("the dead one leads")
		}
		return err
	})
	ok(t, k.Stop())
}
