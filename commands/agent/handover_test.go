package agent

import (
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/handlers"
)

// handingOver is a handover by "me", whose session is "mine".
func handingOver(transferred bool) *handover {
	return &handover{c: newController(bareAgent()), session: &lock.Session{ID: "mine"}, term: 5, transferred: transferred}
}

func TestHandover_Next(t *testing.T) {
	now := time.Now()
	least := reclaimReserve + minHandover
	for _, tt := range []struct {
		name        string
		k           known.Snapshot
		transferred bool
		left        time.Duration // of the handover
		act         time.Duration // that the holder has left to act
		want        handoverMove
	}{
		{"the lock is ours", leading(), false, time.Minute, 0, transferLock},
		{"our view is from before an outage", leading(unfresh), false, time.Minute, 0, transferLock},
		{"just enough time is left", leading(), false, least, 0, transferLock},
		{"too little time is left", leading(), false, least - 1, 0, giveUp},
		{"our redis is down", leading(failing(syscall.ECONNREFUSED)), false, time.Minute, 0, giveUp},
		{"the lock was lost before", leading(clustertest.LockFree), false, time.Minute, 0, lockLost},
		{"another member has taken it before", situation(), false, time.Minute, 0, awaitChange},
		{"the view is old", leading(clustertest.LockFree, unfresh), false, time.Minute, 0, awaitChange},
		{"the successor acts", situation(), true, time.Minute, 1, awaitChange},
		{"the successor's time is over", situation(), true, time.Minute, 0, reclaimIfUnbegun},
		{"the successor has released it", leading(clustertest.LockFree), true, time.Minute, time.Second, reclaimLock},
		{"the successor has transferred it back", leading(), true, 0, time.Second, reclaimLock},
		{"its view is old", leading(clustertest.LockFree, unfresh), true, time.Minute, 0, awaitChange},
	} {
		h := handingOver(tt.transferred)
		h.actBy = now.Add(tt.act)
		expect.Equal(t, tt.name, h.next(tt.k, now, now.Add(tt.left)), tt.want)
	}
}

// A holder has some time to act from when it is first seen, and no more than the handover has.
func TestHandover_Note(t *testing.T) {
	now := time.Now()
	h := handingOver(true)
	for _, tt := range []struct {
		session    string
		left, want time.Duration
	}{
		{"a's", time.Minute, successorActTimeout},
		{"a's", 0, successorActTimeout}, // known already
		{"b's", successorActTimeout, successorActTimeout - reclaimReserve},
		{"c's", 0, minHandover},
	} {
		h.note(tt.session, now, now.Add(tt.left))
		expect.Equal(t, tt.session, h.actBy.Sub(now), tt.want)
		expect.Equal(t, "holder", h.holder, tt.session)
	}
}

func TestHandover_Done(t *testing.T) {
	published := func(id string, term uint64) func(*cluster.Snapshot) {
		return func(k *cluster.Snapshot) {
			k.View.State.Master = &cluster.Master{Peer: handlers.Peer{ID: id, Term: term}}
		}
	}
	for _, tt := range []struct {
		name string
		k    known.Snapshot
		want bool
	}{
		{"the successor is published and holds the lock", situation(published("a", 6)), true},
		{"it has released the lock since", situation(published("a", 6), clustertest.LockFree), true},
		{"another member holds the lock", situation(published("b", 6)), false},
		{"of our own term", situation(published("a", 5)), false},
		{"we are published", situation(published("me", 6), clustertest.LockFree), false},
		{"no master is published", situation(clustertest.NoState), false},
	} {
		expect.Equal(t, tt.name, handingOver(true).done(tt.k, tt.k.View.State.Master), tt.want)
	}
}
