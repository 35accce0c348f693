package stories_test

import (
	"errors"
	"testing"

	"resec/scripts/lab"
)

// A master's Redis and agent are dead, and its Consul agent syncs the old master's entry to the servers again.
func TestWrite07_ADeadMastersEntryComesBack(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	w := watched(t, k)
	old, err := k.ListedMasters()
	ok(t, err)
	if len(old) != 1 {
		t.Fatalf("%d masters are listed", len(old))
	}
	kill(k.Redis[m].Process, k.Agents[m])
	succeeded(t, k, w, m)
	alone := func() error {
		now, err := k.ListedMasters()
		if err == nil && (len(now) != 1 || now[0].Service.ID == old[0].Service.ID) {
			err = errors.New("the new master is not listed alone")
		}
		return err
	}
	lab.Eventually(t, patience, alone)
	ok(t, k.Relist(old[0]))
	lab.Eventually(t, patience, alone)
	ok(t, k.Redis[m].Restart())
	ok(t, k.Agent(m))
	if err := errors.Join(became(t, k, w, m).NeverTwoListed(telling), k.Stop()); err != nil {
		t.Error(err)
	}
}
