package agent

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/handlers"
	"resec/scripts/lab"
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
		{"too little time is left", leading(), false, least - 1, 0, outOfTime},
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

// A wait that has ended does not hide that the successor is published by then.
func TestHandover_Result(t *testing.T) {
	over, h := errors.New("the time is over"), handingOver(true)
	h.to = "b"
	to, err := h.result(situation(), over)
	expect.Equal(t, "to", to, "b")
	expect.Equal(t, "error", err, over)
	to, err = h.result(situation(func(k *cluster.Snapshot) { k.View.State.Master.Term = 6 }), over)
	expect.OK(t, err)
	expect.Equal(t, "to", to, "a")
}

// A member that the lock was transferred to once is not tried again in the same handover.
func TestHandover_TriesEachMemberOnce(t *testing.T) {
	t.Parallel()
	a, own := onServers(t)
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	_, err = other.Do("REPLICAOF", own.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return other.Follows(own) })
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	s, theirs := session(t, a), session(t, a)
	k := a.publish(t, s, "me")
	state := k.View.State
	state.Members = map[string]cluster.MemberRecord{"me": {RunID: k.Health.Status.RunID, Address: own.Addr},
		"b": {RunID: runID, Address: other.Addr}}
	v, err := a.Lock.Write(t.Context(), s.ID, k.View, state)
	expect.OK(t, err)
	agents := map[string]cluster.MemberKey{"b": {Session: theirs.ID, RunID: runID, Address: other.Addr}}
	k.View, k.View.LiveAgents = v, agents
	a.known.Update(func(is *known.Snapshot) { *is = k })
	h := &handover{c: newController(a), session: s, term: 1, tried: map[string]bool{}}
	expect.OK(t, h.transferToNext(t.Context(), k))
	expect.Equal(t, "to", h.to, "b")
	expect.Equal(t, "transferred", h.transferred, true)
	v, err = a.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "session", v.Session, theirs.ID)
	expect.Equal(t, "why", v.State.Why, cluster.WhyLeaving)
	v.LiveAgents = map[string]cluster.MemberKey{"me": {Session: s.ID}}
	v, err = a.Lock.Transfer(t.Context(), theirs.ID, v, "me", v.State) // it gives the lock back
	expect.OK(t, err)
	k.View, k.View.LiveAgents = v, agents
	expect.OK(t, h.transferToNext(t.Context(), k))
	expect.Equal(t, "no other member is left", h.to, "")
}
