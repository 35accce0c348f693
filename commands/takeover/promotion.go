package takeover

import (
	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// isMasterAlready reports whether our Redis is the master and accepts writes, so that it needs only to be published. The argument
// published is the state's master, listed is the catalogue's; both may be nil.
func isMasterAlready(own redis.Status, published, listed *cluster.Master) bool {
	if !own.Master || own.Fenced() {
		return false
	}
	if published == nil {
		return listed == nil
	}
	return published.RunID == own.RunID
}

// eligibilityOf returns which members count if newer data are looked for.
func eligibilityOf(keepMembers bool, notRecorded string, forced bool) cluster.Eligibility {
	if forced || keepMembers && notRecorded == "" {
		return cluster.RecordedOnly
	}
	return cluster.AnyMember
}

// currentGuard returns the guard to publish for a master that continues as it is. Replicas that are not members are not
// counted.
func currentGuard(keepMembers bool, self Self, own redis.Status) cluster.MinReplicas {
	if !keepMembers || self.Guard.Replicas == cluster.GuardOff {
		return cluster.MinReplicas{Replicas: cluster.GuardOff}
	}
	return cluster.MinReplicas{Replicas: max(0, own.MinReplicas-self.UncountedReplicas), MaxLag: own.MaxLag}.Effective()
}

// initialGuard returns the guard with which a new master starts: as published, and as set on Redis. A parked member that can
// resync partially is about to attach, so it counts as attached, unless its data are not what its position says.
func (p *run) initialGuard(s cluster.State, own redis.Status) (publish, set cluster.MinReplicas) {
	if !p.Peers.KeepMembers {
		set = cluster.MinReplicas{Replicas: own.MinReplicasUnfenced(), MaxLag: own.MaxLag}
		return cluster.MinReplicas{Replicas: cluster.GuardOff}, set
	}
	g := cluster.GuardState{Policy: p.Self.Guard, OperatorGuard: p.Self.OperatorGuard, Members: s.MemberCount(p.Self.Me.ID)}
	for _, m := range p.parked {
		if m.err == nil && !m.streamErrors && m.status.Position.IsAncestorOf(own.Position) {
			g.Attached++
		}
	}
	return g.Desired()
}

// mayRepoint reports whether a member may be made to follow our Redis. parked is its status when this takeover parked it, now
// is its present one, own is ours.
func mayRepoint(parked, now, own redis.Status, s cluster.State, id string) bool {
	if !own.Master || own.RunID != s.Master.RunID {
		return false
	}
	return now.Parked() && !now.WriteEndsReplica && handlers.MayFollow(parked, own, s.ForcedToFollow(id)) == nil
}
