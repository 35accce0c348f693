package agent

import (
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/lock"
	"resec/commands/member"
)

// situation is clustertest.Situation with the session.
func situation(change ...func(*cluster.Snapshot)) member.Snapshot {
	return withSession(clustertest.Situation(change...))
}

// leading is clustertest.Leading with the session.
func leading(change ...func(*cluster.Snapshot)) member.Snapshot {
	return withSession(clustertest.Leading(change...))
}

func withSession(k cluster.Snapshot) member.Snapshot {
	s := member.Snapshot{Snapshot: k}
	if k.SessionID != "" {
		s.Session = &lock.Session{ID: k.SessionID}
	}
	return s
}
