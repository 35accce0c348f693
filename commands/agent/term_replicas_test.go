package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/scripts/lab"
)

func TestReplicaLinks(t *testing.T) {
	var l replicaLinks
	expect.Equal(t, "nothing is watched", l.set("a", true), false)
	probeNow, end := l.watch("a")
	expect.Equal(t, "new", l.set("a", true), true)
	expect.Equal(t, "known", l.set("a", true), false)
	expect.Equal(t, "streams", l.streams("a"), true)
	expect.Equal(t, "another does not", l.streams("b"), false)
	l.probeAll()
	l.probeAll()
	expect.Equal(t, "asked for", len(probeNow), 1)
	_, endMoved := l.watch("a") // at its new address
	end()
	expect.Equal(t, "still streams", l.streams("a"), true)
	endMoved()
	expect.Equal(t, "no longer watched", l.streams("a"), false)
}

// When two members exchange their addresses, what is said at an address counts for the member that is there now.
func TestWatchReplicas_Exchange(t *testing.T) {
	t.Parallel()
	a, own := withRedis(t)
	one, err := lab.ForTest(t).StartRedis("one")
	expect.OK(t, err)
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	_, err = one.Do("REPLICAOF", own.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return one.Follows(own) })
	a.leads(t, 1)
	term := &leaderTerm{a: a, replicaLost: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { term.watchReplicas(ctx) })
	for _, addrs := range [][2]string{{one.Addr, other.Addr}, {other.Addr, one.Addr}} {
		recorded := situation(func(k *cluster.Snapshot) {
			k.View.State.Members = map[string]cluster.MemberRecord{"b": {Address: addrs[0]}, "c": {Address: addrs[1]}}
			k.View.LiveAgents = nil
		})
		a.known.Update(func(is *known.Snapshot) { is.View = recorded.View })
		lab.Eventually(t, expect.Patience, func() error {
			b, c := a.links.streams("b"), a.links.streams("c")
			if b != (addrs[0] == one.Addr) || c != (addrs[1] == one.Addr) {
				return fmt.Errorf("b streams: %t, c streams: %t", b, c)
			}
			return nil
		})
	}
}

// Only a server that streams our history, and is no member, is parked.
func TestParkUnlessMember(t *testing.T) {
	t.Parallel()
	a, own := onServers(t)
	k := a.leads(t, 1)
	deadline := &lock.RenewalDeadline{}
	term := &leaderTerm{a: a, session: &lock.Session{Lease: lock.Lease{deadline}}}
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	park := func() error { return term.parkUnlessMember(t.Context(), k, other.Addr) }
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("a master: %v", err)
	}
	_, err = other.Do("REPLICAOF", own.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return other.Follows(own) })
	k.Health.Status = status(t, a.local)
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID}
	expect.OK(t, park())
	expect.OK(t, other.Follows(own)) // it is a member
	delete(k.View.State.Members, "b")
	recorded := situation(func(k *cluster.Snapshot) { k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID} })
	a.known.Update(func(is *known.Snapshot) { is.View = recorded.View })
	expect.OK(t, park())
	expect.OK(t, other.Follows(own)) // it was recorded meanwhile
	a.known.Update(func(is *known.Snapshot) { *is = k })
	of := k.Health.Status.Position.ReplID
	k.Health.Status.Position.ReplID = "another"
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("of another history: %v", err)
	}
	k.Health.Status.Position.ReplID = of
	if err := park(); !errors.Is(err, lock.ErrLease) {
		t.Errorf("after the lease: %v", err)
	}
	expect.OK(t, other.Follows(own))
	deadline.Extend(time.Now(), time.Hour)
	expect.OK(t, park())
	expect.OK(t, other.Is("master_host", "127.0.0.1", "master_port", "1"))
	other.Kill()
	if err := park(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is down: %v", err)
	}
}
