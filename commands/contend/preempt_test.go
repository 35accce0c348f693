package contend

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/scripts/lab"
)

// A failure is proven by surveys alone, and a master that answers to one has not failed.
func TestProveFailure(t *testing.T) {
	t.Parallel()
	c, own := onServers(t)
	c.EarlyTakeover = true
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	_, err = own.Do("REPLICAOF", other.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return own.Follows(other) })
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	k := situation(func(k *cluster.Snapshot) {
		k.Health.Status = own.now(t)
		k.View.State.Master.RunID, k.View.State.Master.Address = runID, other.Addr
		k.View.State.Histories = []string{k.Health.Status.Position.ReplID}
		k.View.State.Members = map[string]cluster.MemberRecord{"a": {RunID: runID, Address: other.Addr, InSyncTerm: 4},
			"me": {RunID: k.Health.Status.RunID, Address: own.Addr, InSyncTerm: 4}}
		k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", RunID: k.Health.Status.RunID}}
		k.Failure = cluster.MasterFailure{RunID: runID, Unreachable: true, Since: time.Now()}
	})
	c.Known.Update(func(is *known.Snapshot) { *is = k })
	c.evidence = cluster.NewFailureEvidence(k.Snapshot)
	again, err := c.proveFailure(t.Context(), k)
	if again != cluster.SurveyInterval || err != nil {
		t.Errorf("it answers: %s, %v", again, err)
	}
	expect.Equal(t, "the failure is forgotten", c.Known.Load().Failure, cluster.MasterFailure{})
	expect.Equal(t, "parked", own.now(t).Parked(), false)

	other.Kill()
	again, err = c.proveFailure(t.Context(), k)
	if again <= 0 || again > cluster.ConfirmDownDelay || err != nil {
		t.Errorf("it was found down once: %s, %v", again, err)
	}
	expect.Equal(t, "parked", own.now(t).Parked(), true)
	lab.Eventually(t, expect.Patience, func() error {
		again, err := c.proveFailure(t.Context(), k)
		if err == nil && again > 0 {
			err = fmt.Errorf("it is to be asked again after %s", again)
		}
		return err
	})
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.proveFailure(ended, k); err == nil {
		t.Error("no member was asked")
	}
}

// Our Redis is parked if it follows a master that does not answer to one more probe.
func TestDetach(t *testing.T) {
	t.Parallel()
	c, own := onServers(t)
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	_, err = own.Do("REPLICAOF", other.Host, "6379")
	expect.OK(t, err)
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	m := master("b", runID, other.Addr)
	expect.OK(t, c.detach(t.Context(), m))
	expect.Equal(t, "it answers", own.now(t).Parked(), false)
	m.RunID = "run-old"
	expect.OK(t, c.detach(t.Context(), m))
	expect.Equal(t, "another instance answers", own.now(t).Parked(), true)
	_, err = own.Do("REPLICAOF", other.Host, "6379")
	expect.OK(t, err)
	m.RunID = runID
	other.Kill()
	expect.OK(t, c.detach(t.Context(), m))
	expect.Equal(t, "it is down", own.now(t).Parked(), true)
}

// The goroutine that watches the view ends preemption once the lock has changed.
func TestUntilViewChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		k := situation()
		c.Known.Update(func(is *known.Snapshot) { *is = k })
		ctx, end := c.untilViewChanges(t.Context(), k)
		c.Known.Update(func(k *known.Snapshot) { k.Health.Status.Position.Offset++ })
		synctest.Wait()
		expect.Equal(t, "ended by a probe", ctx.Err() != nil, false)
		c.Known.Update(func(k *known.Snapshot) { k.View.LockIndex++ })
		synctest.Wait()
		expect.Equal(t, "ended by a change of the lock", ctx.Err() != nil, true)
		end()
	})
}

// The lock of a master that is down is taken from its session, which still holds it.
func TestPreempt(t *testing.T) {
	t.Parallel()
	c, own := onServers(t)
	expect.OK(t, own.local.Park(t.Context()))
	theirs, ours := session(t, c), session(t, c)
	l := c.Lock
	l.Member = "b"
	v, err := l.Read(t.Context())
	expect.OK(t, err)
	st := own.now(t)
	s := cluster.State{Service: "redis-master", Master: master("b", "run-b", "127.0.0.1:2"), Histories: []string{st.Position.ReplID},
		Members: map[string]cluster.MemberRecord{"b": {RunID: "run-b", Address: "127.0.0.1:2", InSyncTerm: 1},
			"me": {RunID: st.RunID, Address: own.Addr, InSyncTerm: 1}}}
	v, err = l.Acquire(t.Context(), theirs.ID, v, s)
	expect.OK(t, err)
	var k known.Snapshot
	k.View, k.Fresh, k.Probed, k.Health.Status, k.SessionID = v, true, true, st, ours.ID
	k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: ours.ID, RunID: st.RunID}}
	k.Failure = cluster.MasterFailure{RunID: "run-b", Down: true, Since: time.Now(), DownSince: time.Now().Add(-time.Minute)}
	k = knowntest.Leased(k, time.Hour)
	c.Known.Update(func(is *known.Snapshot) { *is = k })
	var wrote cluster.View
	c.Wrote = func(v cluster.View) { wrote = v }
	var won *Won
	lab.Eventually(t, expect.Patience, func() error {
		var again time.Duration
		if won, again, err = c.Preempt(t.Context(), k); err == nil && won == nil {
			err = fmt.Errorf("the lock is not won; again after %s", again)
		}
		return err
	})
	v, err = c.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "holder", v.Holder, "me")
	expect.Equal(t, "session", v.Session, ours.ID)
	expect.Equal(t, "won", *won, Won{v.LockIndex, k.Failure.Since})
	expect.Equal(t, "the view is taken", wrote.LockIndex, v.LockIndex)
	expect.Equal(t, "parked", own.now(t).Parked(), true)
}
