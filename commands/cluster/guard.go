package cluster

// The guard is min-replicas-to-write together with min-replicas-max-lag. A master that has lost its replicas to another master
// refuses writes by itself, even if its agent is dead and Consul is down. A challenger relies on the published guard. Therefore
// the published guard is never higher than the one that is set, and the published lag never shorter, whichever process dies.

// Special values of GuardPolicy.Replicas. GuardOff is published, too.
const (
	GuardOff  = -1 // no guard: only the lease limits what a master does
	GuardAuto = 0  // half of the members
)

// GuardPolicy is what GUARD and GUARD_MAX_LAG configure.
type GuardPolicy struct {
	Replicas int // GuardOff, GuardAuto or a number
	MaxLag   int // seconds
}

// quorum returns the guard of a master with all n recorded members attached, itself included. GuardAuto is half of them: to
// leave a master with fewer replicas, another master needs the larger part of the cluster.
func (p GuardPolicy) quorum(n int) int {
	if n < 2 {
		return 0
	}
	if p.Replicas == GuardAuto {
		return max(1, n/2)
	}
	return p.Replicas
}

// MaxCountedLag returns the lag in seconds from which on a replica is no longer counted. Redis counts whole seconds and closes
// at MaxLag + 1, so two seconds are left in which the guard is lowered; it is checked once a second. A healthy replica lags by
// up to one second: with a MaxLag of 1 only one second is left.
func (p GuardPolicy) MaxCountedLag() int { return max(2, p.MaxLag-1) }

// MinReplicas is min-replicas-to-write and min-replicas-max-lag (seconds).
type MinReplicas struct {
	Replicas int `json:"min_replicas"`
	MaxLag   int `json:"max_lag"`
}

// Effective returns what a setting amounts to: with a lag of 0 Redis ignores the number of replicas.
func (s MinReplicas) Effective() MinReplicas {
	if s.MaxLag == 0 {
		s.Replicas = 0
	}
	return s
}

// GuardState is everything that a guard depends on.
type GuardState struct {
	Policy        GuardPolicy
	OperatorGuard MinReplicas // the operator's own setting
	Members       int         // recorded members, the master included
	Attached      int         // replicas of members that keep up

	UnknownReplicas int // replicas of no known member: Redis counts them, a challenger does not
	PassiveReplicas int // clients that receive the stream: Redis counts them for a while; see CountReplicas

	Published, Set MinReplicas
}

// Desired returns the guard to publish and the guard to set. Neither is below the operator's own setting, unless the guard is
// off. Unknown replicas raise the guard that is set, so that Redis does not count them.
func (g GuardState) Desired() (publish, set MinReplicas) {
	if g.Policy.Replicas == GuardOff {
		return MinReplicas{Replicas: GuardOff}, g.OperatorGuard
	}
	operator, quorum := g.OperatorGuard.Effective().Replicas, g.Policy.quorum(g.Members)
	if quorum == 0 {
		return MinReplicas{Replicas: operator, MaxLag: g.OperatorGuard.MaxLag}, g.OperatorGuard
	}
	publish = MinReplicas{Replicas: max(operator, min(quorum, g.Attached)), MaxLag: g.Policy.MaxLag}
	set = publish
	if set.Replicas > 0 {
		set.Replicas += g.UnknownReplicas
	}
	if g.Attached < publish.Replicas { // by the operator's own setting: without them Redis refuses writes
		set.Replicas += g.PassiveReplicas
	}
	return publish, set
}

// GuardStep is what to do to a guard next.
type GuardStep int

// The steps of a guard.
const (
	GuardDone    GuardStep = iota
	GuardPublish           // write it to Consul
	GuardSet               // set it on Redis
)

// NextStep returns one step towards Desired, and the guard to publish or set in it. A weaker guard is published before it is
// set; a stronger one is set before it is published.
func (g GuardState) NextStep() (GuardStep, MinReplicas) {
	publish, set := g.Desired()
	weaker := MinReplicas{Replicas: min(publish.Replicas, g.Published.Replicas), MaxLag: max(publish.MaxLag, g.Published.MaxLag)}
	switch {
	case weaker != g.Published:
		return GuardPublish, weaker
	case g.Set != set:
		return GuardSet, set
	case g.Published != publish:
		return GuardPublish, publish
	}
	return GuardDone, publish
}

// RestoreStep is NextStep while the state must not be written: what was set by hand below the published guard is put right.
func (g GuardState) RestoreStep() (GuardStep, MinReplicas) {
	if g.Set.Effective().Replicas < g.Published.Replicas {
		return GuardSet, g.Published
	}
	return GuardDone, g.Set
}

// WithGuard returns the state with a guard published. The state must have a master.
func (s State) WithGuard(g MinReplicas) State {
	m := *s.Master
	m.Guard, m.MaxLag = g.Replicas, g.MaxLag
	s.Master = &m
	return s
}

// Guard returns the published guard.
func (s State) Guard() MinReplicas {
	if s.Master == nil {
		return MinReplicas{}
	}
	return MinReplicas{Replicas: s.Master.Guard, MaxLag: s.Master.MaxLag}
}

// MemberCount returns how many members are recorded, counting the member id in any case.
func (s State) MemberCount(id string) int {
	if _, recorded := s.Members[id]; recorded {
		return len(s.Members)
	}
	return len(s.Members) + 1
}

// DetachQuorum returns how many members, other than the published master, must be known not to replicate from it so that its
// guard has closed. 0: nothing can prove that.
func (s State) DetachQuorum() int {
	if s.Master == nil || s.Master.Guard <= 0 {
		return 0
	}
	return max(1, s.MemberCount(s.Master.ID)-s.Master.Guard)
}
