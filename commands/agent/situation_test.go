package agent

import (
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/commands/lock"
)

// situation is clustertest.Situation with the session.
func situation(change ...func(*cluster.Snapshot)) known.Snapshot {
	return withSession(clustertest.Situation(change...))
}

// leading is clustertest.Leading with the session.
func leading(change ...func(*cluster.Snapshot)) known.Snapshot {
	return withSession(clustertest.Leading(change...))
}

func withSession(k cluster.Snapshot) known.Snapshot {
	s := known.Snapshot{Snapshot: k}
	if k.SessionID != "" {
		s.Session = &lock.Session{ID: k.SessionID}
	}
	return s
}
