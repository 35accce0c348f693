package takeover

import (
	"errors"
	"time"

	"resec/commands/cluster"
)

const (
	// guardCloseMargin is added to min-replicas-max-lag. Redis counts a replica's lag in whole seconds, so a replica that is
	// late by MaxLag counts for up to MaxLag + 1 s. Redis checks once a second, with a clock that may be 0.1 s old. That makes
	// MaxLag + 2.1 s; the rest allows for the difference between its clock and ours.
	guardCloseMargin = 2500 * time.Millisecond
	// proofTimeout bounds how long the lock is kept without enough detached members, and, beyond what the guard takes to close,
	// for members that come and go.
	proofTimeout = 10 * time.Second
	// FollowConfirmTimeout is the greatest age of Consul's answer when an agent makes its replica follow the published master.
	// So the last round of observations must begin that long after the election: until then an agent may still point a replica
	// at the old master.
	FollowConfirmTimeout = 500 * time.Millisecond
	// ProbeInterval is the wait between two rounds of observations of an unreachable master and of the other members.
	ProbeInterval = 200 * time.Millisecond
)

// GuardCloseTime returns for how long enough members must have been detached from an unreachable master, so that its guard
// refuses writes.
func GuardCloseTime(m *cluster.Master) time.Duration {
	return time.Duration(m.MaxLag)*time.Second + guardCloseMargin
}

var errGuardUnproven = errors.New(
	"it is unreachable, and nothing proves that it refuses writes; `resec failover -to ID -force` overrides")

// closureBasis is why an unreachable old master may be replaced.
type closureBasis int

const (
	noBasis       closureBasis = iota // nothing can prove that it refuses writes: its guard is not known, or none
	basisForced                       // an operator overrides the protocol
	basisReported                     // its own agent has found it dead, or has sent it a fence
	basisLease                        // GUARD=off: only its lease has ended
	basisGuard                        // its guard refuses writes once enough members have been detached from it for long enough
)

// closureBasisOf returns the basis. need is the number of detached members that closes the guard; 0: no number does.
func closureBasisOf(forced, reportedGone bool, guard, need int) closureBasis {
	if forced {
		return basisForced
	}
	if reportedGone {
		return basisReported
	}
	if guard == cluster.GuardOff {
		return basisLease
	}
	if need == 0 {
		return noBasis
	}
	return basisGuard
}

// guardProofVerdict is what follows from the observations so far.
type guardProofVerdict int

const (
	guardOpen     guardProofVerdict = iota // it may still accept writes: observe again
	guardClosed                            // it refuses writes
	guardUnproven                          // no proof will be found in time: give up
)

// guardObservations are the results of one round of observations.
type guardObservations struct {
	need         int           // members that must be detached
	detached     int           // members that are detached now
	detachedLong int           // members that have been detached for closeTime
	closeTime    time.Duration // GuardCloseTime plus the allowance for stalls
	sinceElected time.Duration // from our election to the begin of this round
	sinceFirst   time.Duration // from the first round to the end of this one
}

func (o guardObservations) guardProofVerdict() guardProofVerdict {
	if o.detachedLong >= o.need && o.sinceElected >= FollowConfirmTimeout {
		return guardClosed
	}
	if o.detached < o.need && o.sinceFirst > proofTimeout {
		return guardUnproven
	}
	if o.sinceFirst > proofTimeout+o.closeTime {
		return guardUnproven
	}
	return guardOpen
}
