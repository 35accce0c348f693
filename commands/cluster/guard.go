package cluster

// The guard is min-replicas-to-write, with min-replicas-max-lag: a master that has lost its replicas to another refuses
// writes by itself, with its agent dead and Consul gone. What a challenger counts on is the published guard, so at every
// moment, whoever dies, the published one is no higher than the one that is set, and the published lag no shorter.

// Values of GuardPolicy.Replicas that are no number of replicas. GuardOff is also what is published then.
const (
	GuardOff  = -1 // the lease alone bounds what a master does
	GuardAuto = 0
)

// GuardPolicy is what GUARD and GUARD_MAX_LAG say.
type GuardPolicy struct {
	Replicas int
	MaxLag   int // s
}

// quorum is the guard of a master with all of n recorded members attached. Half of them: to leave a master no more
// replicas than that, another needs the greater part of the cluster.
func (p GuardPolicy) quorum(n int) int {
	switch {
	case n < 2:
		return 0
	case p.Replicas == GuardAuto:
		return max(1, n/2)
	}
	return p.Replicas
}

// MaxCountedLag is the lag (s) from which on a replica is not counted on. Redis counts whole seconds, and closes at MaxLag + 1: two
// seconds are enough for a look each second to lower the guard before. A replica that is well lags by up to one, so with a
// MaxLag of 1 there is one second only.
func (p GuardPolicy) MaxCountedLag() int { return max(2, p.MaxLag-1) }

// MinReplicas is min-replicas-to-write and min-replicas-max-lag (s).
type MinReplicas struct {
	Replicas int `json:"min_replicas"`
	MaxLag   int `json:"max_lag"`
}

// Effective is what a setting amounts to: with a lag of 0 Redis ignores the number.
func (s MinReplicas) Effective() MinReplicas {
	if s.MaxLag == 0 {
		s.Replicas = 0
	}
	return s
}

// GuardState is what a guard depends on.
type GuardState struct {
	Policy        GuardPolicy
	OperatorGuard MinReplicas // the operator's
	Members       int         // recorded, the master among them
	Attached      int         // members' replicas that keep up

	UnknownReplicas int // replicas that are no member's, or not known to be: Redis counts them, and no challenger does

	Published, Set MinReplicas
}

// Desired is the guard as it should be: as published, and as set. It is never below the operator's own.
func (g GuardState) Desired() (publish, set MinReplicas) {
	target := g.Policy.quorum(g.Members)
	switch {
	case g.Policy.Replicas == GuardOff:
		return MinReplicas{Replicas: GuardOff}, g.OperatorGuard
	case target == 0:
		return MinReplicas{g.OperatorGuard.Effective().Replicas, g.OperatorGuard.MaxLag}, g.OperatorGuard
	}
	publish = MinReplicas{max(g.OperatorGuard.Effective().Replicas, min(target, g.Attached)), g.Policy.MaxLag}
	if set = publish; set.Replicas > 0 {
		set.Replicas += g.UnknownReplicas
	}
	return publish, set
}

// GuardStep is what is to be done to a guard next.
type GuardStep int

// The steps.
const (
	GuardDone    GuardStep = iota
	GuardPublish           // in Consul
	GuardSet               // on Redis
)

// NextStep is one step towards Want, and what to make of the guard in it. What weakens it is published before it is set, what
// strengthens it set before it is published.
func (g GuardState) NextStep() (GuardStep, MinReplicas) {
	publish, set := g.Desired()
	switch safe := (MinReplicas{min(publish.Replicas, g.Published.Replicas), max(publish.MaxLag, g.Published.MaxLag)}); {
	case safe != g.Published:
		return GuardPublish, safe
	case g.Set != set:
		return GuardSet, set
	case g.Published != publish:
		return GuardPublish, publish
	}
	return GuardDone, publish
}

// WithGuard is the state with a guard published.
func (s State) WithGuard(g MinReplicas) State {
	m := *s.Master
	m.Guard, m.MaxLag = g.Replicas, g.MaxLag
	s.Master = &m
	return s
}

// Guard is the published guard.
func (s State) Guard() MinReplicas {
	if s.Master == nil {
		return MinReplicas{}
	}
	return MinReplicas{s.Master.Guard, s.Master.MaxLag}
}

// MemberCount is how many members the record has, with one of them in any case.
func (s State) MemberCount(id string) int {
	if _, recorded := s.Members[id]; recorded {
		return len(s.Members)
	}
	return len(s.Members) + 1
}

// DetachQuorum is how many members, other than the published master, must be known not to replicate from it, so that its guard
// has closed it. 0: nothing can prove that.
func (s State) DetachQuorum() int {
	if s.Master == nil || s.Master.Guard <= 0 {
		return 0
	}
	return max(1, s.MemberCount(s.Master.ID)-s.Master.Guard)
}
