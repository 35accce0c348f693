package contend

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/lock"
	"resec/commands/survey"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

func returned(k *cluster.Snapshot) {
	k.View.State.Why = cluster.WhyLeaving
	k.View.LiveAgents = map[string]cluster.MemberKey{"a": {Session: "a's", RunID: "run-a"}}
}

// What a member has waited for is void once the lock, its own Redis's master or the master's agent is another.
func TestElectionDelay_StillValid(t *testing.T) {
	begun := time.Now()
	left := func(k *cluster.Snapshot) { k.View.State.Why, k.View.LiveAgents = cluster.WhyLeaving, nil }
	for _, tt := range []struct {
		name string
		of   electionDelay
		k    known.Snapshot
		want bool
	}{
		{"nothing has changed", electionDelay{situation(clustertest.LockFree), begun}, situation(clustertest.LockFree), true},
		{"another probe", electionDelay{situation(clustertest.LockFree), begun},
			situation(clustertest.LockFree, func(k *cluster.Snapshot) { k.Health.Status.Position.Offset = 99 }), true},
		{"none was begun", electionDelay{}, known.Snapshot{}, false},
		{"the lock was taken meanwhile", electionDelay{situation(clustertest.LockFree), begun},
			situation(clustertest.LockFree, func(k *cluster.Snapshot) { k.View.LockIndex++ }), false},
		{"our redis was parked", electionDelay{situation(clustertest.LockFree), begun},
			situation(clustertest.LockFree, clustertest.ParkedRedis), false},
		{"the master's agent is back", electionDelay{situation(clustertest.LockFree, left), begun},
			situation(clustertest.LockFree, returned), false},
		{"after an outage of consul", electionDelay{situation(clustertest.LockFree), begun}, situation(clustertest.LockFree, unfresh),
			false},
	} {
		expect.Equal(t, tt.name, tt.of.stillValid(tt.k), tt.want)
	}
}

func TestContender_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		k := situation(clustertest.LockFree)
		won, again, err := c.Acquire(t.Context(), k)
		if won != nil || again != cluster.SurveyInterval || err != nil {
			t.Errorf("without a lease: %v, %s, %v", won, again, err)
		}
		won, again, err = c.Preempt(t.Context(), situation())
		if won != nil || again != cluster.SurveyInterval || err != nil {
			t.Errorf("without a lease: %v, %s, %v", won, again, err)
		}
		c.delay = electionDelay{k, time.Now().Add(time.Second)}
		won, again, err = c.Acquire(t.Context(), knowntest.Leased(k, time.Minute))
		if won != nil || again != time.Second || err != nil {
			t.Errorf("before its turn: %v, %s, %v", won, again, err)
		}
		<-time.After(2 * time.Second)
		again, err = c.wait(t.Context(), k)
		if again != 0 || err != nil {
			t.Errorf("at its turn: %s, %v", again, err)
		}
		found := situation(func(k *cluster.Snapshot) { k.Failure.DownSince = time.Now().Add(-cluster.ConfirmDownDelay / 3) })
		won, again, err = c.Preempt(t.Context(), knowntest.Leased(found, time.Minute))
		if won != nil || again != cluster.ConfirmDownDelay-cluster.ConfirmDownDelay/3 || err != nil {
			t.Errorf("a master that was just found down: %v, %s, %v", won, again, err)
		}
	})
}

func TestContender_Turn(t *testing.T) {
	now := time.Now()
	k := situation()
	c := bare()
	expect.Equal(t, "the first", c.turn(k, 0, now), 0)
	expect.Equal(t, "the second", c.turn(k, 1, now), min(cluster.Stagger, takeover.ProbeInterval))
	expect.Equal(t, "its turn", c.delay.until, now.Add(cluster.Stagger))
	expect.Equal(t, "just before its turn", c.turn(k, 1, now.Add(cluster.Stagger-1)), 1)
	expect.Equal(t, "after it", c.turn(k, 1, now.Add(cluster.Stagger+1)), 0)
	expect.Equal(t, "one of a far rank looks again before", bare().turn(k, 100, now), takeover.ProbeInterval)
	expect.Equal(t, "another lock begins another wait", c.turn(situation(clustertest.LockFree), 1, now.Add(time.Hour)),
		min(cluster.Stagger, takeover.ProbeInterval))
}

func TestContender_Candidacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		c.Leaderless = cluster.Leaderless{Since: time.Now()}
		k := situation(clustertest.LockFree, func(k *cluster.Snapshot) { k.ConsulUpSince = time.Now() })
		own := cluster.Candidate{ID: "me", AgentAlive: true, Status: k.Health.Status}
		<-time.After(cluster.MasterReclaimTime - 1)
		got := c.candidacy(k, survey.Result{Candidates: []cluster.Candidate{own}, Unanswered: []string{"b"}})
		expect.Equal(t, "id", got.ID, "me")
		expect.Equal(t, "candidates", len(got.Candidates), 1)
		expect.Equal(t, "unanswered", got.Unanswered[0], "b")
		expect.Equal(t, "the master's agent is back", got.MasterReturned, false)
		expect.Equal(t, "just after consul's outage", got.ConsulSettling, true)
		expect.Equal(t, "leaderless", got.LeaderlessFor, cluster.MasterReclaimTime-1)
		expect.Equal(t, "for a slow member", got.SlowMemberGrace, 2*500*time.Millisecond+time.Second)
		expect.Equal(t, "before a cluster is founded", got.BootstrapDelay, 2*time.Second)
		expect.Equal(t, "eligible", got.Eligibility, cluster.RecordedOnly)
		<-time.After(1)
		got = c.candidacy(situation(clustertest.LockFree, returned, func(s *cluster.Snapshot) { s.ConsulUpSince = k.ConsulUpSince }),
			survey.Result{})
		expect.Equal(t, "the master's agent is back", got.MasterReturned, true)
		expect.Equal(t, "long after consul's outage", got.ConsulSettling, false)
		got = c.candidacy(situation(clustertest.LockFree, func(k *cluster.Snapshot) { k.ConsulDown = true }), survey.Result{})
		expect.Equal(t, "during consul's outage", got.ConsulSettling, true)
	})
}

// After two TTLs in which no recorded instance has answered, it is a cold start.
func TestContender_Eligibility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		s := situation().View.State
		answers := func(runID string) []cluster.Candidate {
			return []cluster.Candidate{{ID: "me", AgentAlive: true, Status: redis.Status{RunID: runID, Priority: 100}}}
		}
		expect.Equal(t, "at first", c.eligibility(answers("run-new"), s), cluster.RecordedOnly)
		<-time.After(2*c.SessionTTL - 1)
		expect.Equal(t, "before two TTLs", c.eligibility(answers("run-new"), s), cluster.RecordedOnly)
		<-time.After(1)
		expect.Equal(t, "after two TTLs", c.eligibility(answers("run-new"), s), cluster.ColdStart)
		expect.Equal(t, "a recorded one answers", c.eligibility(answers("run-me"), s), cluster.RecordedOnly)
		expect.Equal(t, "from then on", c.eligibility(answers("run-new"), s), cluster.RecordedOnly)
	})
}

// After it has caught up, a member must still be one that may lead.
func TestConfirmEligible(t *testing.T) {
	t.Parallel()
	c, own := onServers(t)
	run := own.now(t).RunID
	k := known.Snapshot{}
	k.Health.Status = own.now(t)
	confirm := c.ConfirmEligible(k)
	state := func(me string) cluster.State {
		return cluster.State{Master: master("b", "run-b", "127.0.0.1:2"), Members: map[string]cluster.MemberRecord{
			"me": {RunID: me, Address: own.Addr, InSyncTerm: 1}, "b": {RunID: "run-b", Address: "127.0.0.1:2", InSyncTerm: 1}}}
	}
	expect.OK(t, confirm(t.Context(), state(run)))
	if err := confirm(t.Context(), state("run-old")); err == nil {
		t.Error("our instance is not the recorded one")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := confirm(ended, state(run)); err == nil {
		t.Error("no member was asked")
	}
}

// A lock that is won is ours from one change on; if another member was faster the session is verified.
func TestAcquire(t *testing.T) {
	t.Parallel()
	c, own := onServers(t)
	s := session(t, c)
	var k known.Snapshot
	v, err := c.Lock.Read(t.Context())
	expect.OK(t, err)
	k.View, k.Fresh, k.Health.Status, k.SessionID = v, true, own.now(t), s.ID
	k = knowntest.Leased(k, time.Hour)
	var wrote cluster.View
	reason := "it waits"
	c.Wrote, c.SetReason = func(v cluster.View) { wrote = v }, func(why string) { reason = why }
	c.Advance(k, cluster.Contend)
	c.delay = electionDelay{k, time.Now()} // it is our turn
	won, again, err := c.Acquire(t.Context(), k)
	if won == nil || again != 0 || err != nil {
		t.Fatalf("got %v, %s, %v", won, again, err)
	}
	v, err = c.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "holder", v.Holder, "me")
	expect.Equal(t, "won", *won, Won{v.LockIndex, c.Leaderless.Since})
	expect.Equal(t, "the view is taken", wrote.LockIndex, v.LockIndex)
	expect.Equal(t, "reason", reason, "")
	verify := make(chan struct{}, 1)
	c.Verify = verify
	k.View.Request = &cluster.Request{To: "me", Session: "operator's"} // which needs no turn
	if won, _, err := c.Acquire(t.Context(), k); won != nil || !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock has changed: %v, %v", won, err)
	}
	expect.Equal(t, "the session is verified", len(verify), 1)
}
