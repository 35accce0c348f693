package agent

import (
	"errors"
	"syscall"
	"testing"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/scripts/lab"
)

func TestReplicaLinks(t *testing.T) {
	var l replicaLinks
	equal(t, "nothing is watched", l.set("a", true), false)
	probeNow, end := l.watch("a")
	equal(t, "new", l.set("a", true), true)
	equal(t, "known", l.set("a", true), false)
	equal(t, "streams", l.streams("a"), true)
	equal(t, "another does not", l.streams("b"), false)
	l.probeAll()
	l.probeAll()
	equal(t, "asked for", len(probeNow), 1)
	_, endMoved := l.watch("a") // at its new address
	end()
	equal(t, "still streams", l.streams("a"), true)
	endMoved()
	equal(t, "no longer watched", l.streams("a"), false)
}

// Only a server that streams our history, and is no member, is parked.
func TestParkUnlessMember(t *testing.T) {
	t.Parallel()
	a, own := onServers(t)
	k := a.leads(t, 1)
	term := &leaderTerm{a: a}
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	park := func() error { return term.parkUnlessMember(t.Context(), k, other.Addr) }
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("a master: %v", err)
	}
	_, err = other.Do("REPLICAOF", own.Host, "6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return other.Follows(own) })
	k.Health.Status = status(t, a.local)
	runID, err := other.Info("run_id")
	ok(t, err)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID}
	ok(t, park())
	ok(t, other.Follows(own)) // it is a member
	delete(k.View.State.Members, "b")
	recorded := situation(func(k *cluster.Snapshot) { k.View.State.Members["b"] = cluster.MemberRecord{RunID: runID} })
	a.known.Update(func(is *known.Snapshot) { is.View = recorded.View })
	ok(t, park())
	ok(t, other.Follows(own)) // it was recorded meanwhile
	a.known.Update(func(is *known.Snapshot) { *is = k })
	of := k.Health.Status.Position.ReplID
	k.Health.Status.Position.ReplID = "another"
	if err := park(); !errors.Is(err, cluster.ErrOtherInstance) {
		t.Errorf("of another history: %v", err)
	}
	k.Health.Status.Position.ReplID = of
	ok(t, park())
	ok(t, other.Is("master_host", "127.0.0.1", "master_port", "1"))
	other.Kill()
	if err := park(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it is down: %v", err)
	}
}
