package contend

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
)

// What was waited for is over once the controller does something else; the leaderless period continues.
func TestAdvance(t *testing.T) {
	c := bare()
	k := situation(clustertest.LockFree)
	for _, tt := range []struct {
		todo  cluster.Action
		keeps bool
	}{{cluster.Contend, true}, {cluster.Preempt, true}, {cluster.Wait, false}, {cluster.Follow, false}} {
		c.delay = electionDelay{k, time.Now()}
		c.Advance(k, tt.todo)
		expect.Equal(t, fmt.Sprintf("%s keeps the delay", tt.todo), !c.delay.until.IsZero(), tt.keeps)
	}
	since := c.Leaderless.Since
	expect.Equal(t, "the leaderless period has begun", since.IsZero(), false)
	c.Advance(k, cluster.Follow)
	expect.Equal(t, "it continues", c.Leaderless.Since, since)
	c.Advance(situation(), cluster.Follow)
	expect.Equal(t, "another member holds the lock", c.Leaderless.Since.IsZero(), true)
}

func TestStallAllowance(t *testing.T) {
	c := bare()
	m := &cluster.Master{MaxLag: 4}
	expect.Equal(t, "later", c.StallAllowance(m), 0)
	c.EarlyTakeover = true
	expect.Equal(t, "early", c.StallAllowance(m), cluster.StallAllowance(4*time.Second, time.Second, time.Second))
}

func TestCheckPassing_IsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := checkPassing{"run-a", time.Now()}
		expect.Equal(t, "now", p.isFresh("run-a"), true)
		expect.Equal(t, "of another instance", p.isFresh("run-b"), false)
		<-time.After(2*time.Second - 1)
		expect.Equal(t, "a moment ago", p.isFresh("run-a"), true)
		<-time.After(1)
		expect.Equal(t, "long ago", p.isFresh("run-a"), false)
	})
}
