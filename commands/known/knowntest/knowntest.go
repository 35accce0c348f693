// Package knowntest has the snapshots of clustertest as an agent knows them: with a session.
package knowntest

import (
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// Situation is clustertest.Situation with the session, whose lease never began.
func Situation(change ...func(*cluster.Snapshot)) known.Snapshot {
	return withSession(clustertest.Situation(change...))
}

// Leading is clustertest.Leading with the session, whose lease never began.
func Leading(change ...func(*cluster.Snapshot)) known.Snapshot {
	return withSession(clustertest.Leading(change...))
}

// LeadingOf is Leading with a real Redis, whose status is st. It is published with that guard and a lag of 4 s.
func LeadingOf(st redis.Status, guard int) known.Snapshot {
	return Leading(func(k *cluster.Snapshot) {
		k.Health.Status = st
		k.View.State.Master.RunID, k.View.State.Master.Guard, k.View.State.Master.MaxLag = st.RunID, guard, 4
	})
}

func withSession(k cluster.Snapshot) known.Snapshot {
	s := known.Snapshot{Snapshot: k}
	if k.SessionID != "" {
		s.Session = &lock.Session{ID: k.SessionID}
	}
	return s
}

// Leased gives a snapshot's session a lease that lasts for d from now.
func Leased(k known.Snapshot, d time.Duration) known.Snapshot {
	k.Session = &lock.Session{ID: k.SessionID, Lease: lasting(d)}
	return k
}

// Lasting is a lease that lasts for an hour.
func Lasting() lock.Lease { return lasting(time.Hour) }

func lasting(d time.Duration) lock.Lease {
	end := &lock.RenewalDeadline{}
	end.Extend(time.Now(), d)
	return lock.Lease{end}
}

// Unfresh makes the snapshot one from before an outage of Consul.
func Unfresh(k *cluster.Snapshot) { k.Fresh = false }
