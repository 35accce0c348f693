package takeover

import (
	"testing"
	"time"

	"resec/commands/cluster"
)

func TestClosureBasisOf(t *testing.T) {
	for _, tt := range []struct {
		name             string
		forced, reported bool
		guard, need      int
		want             closureBasis
	}{
		{"a guard that two members close", false, false, 1, 2, basisGuard},
		{"no guard", false, false, 0, 0, noBasis},
		{"no guard, by force", true, false, 0, 0, basisForced},
		{"no guard, reported by its agent", false, true, 0, 0, basisReported},
		{"a guard, reported by its agent", false, true, 1, 2, basisReported},
		{"by force and reported", true, true, 1, 2, basisForced},
		{"GUARD=off", false, false, cluster.GuardOff, 0, basisLease},
		{"GUARD=off, reported", false, true, cluster.GuardOff, 0, basisReported},
	} {
		if got := closureBasisOf(tt.forced, tt.reported, tt.guard, tt.need); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestGuardProofVerdict(t *testing.T) {
	const closeTime = 7 * time.Second
	for _, tt := range []struct {
		name                     string
		detached, detachedLong   int
		sinceElected, sinceFirst time.Duration
		want                     guardProofVerdict
	}{
		{"enough for long enough", 2, 2, time.Minute, closeTime, guardClosed},
		{"more than enough", 3, 3, time.Minute, closeTime, guardClosed},
		{"one too few for long enough", 2, 1, time.Minute, closeTime, guardOpen},
		{"the round began just late enough after the election", 2, 2, FollowConfirmTimeout, 0, guardClosed},
		{"the round began too soon after the election", 2, 2, FollowConfirmTimeout - 1, 0, guardOpen},
		{"too few members at the end of the wait", 1, 0, time.Minute, proofTimeout, guardOpen},
		{"too few members after the wait", 1, 0, time.Minute, proofTimeout + 1, guardUnproven},
		{"enough now, not for long", 2, 0, time.Minute, proofTimeout + 1, guardOpen},
		{"enough now, at the end of the longer wait", 2, 1, time.Minute, proofTimeout + closeTime, guardOpen},
		{"enough now, after the longer wait", 2, 1, time.Minute, proofTimeout + closeTime + 1, guardUnproven},
		{"closed however late", 2, 2, time.Minute, time.Hour, guardClosed},
	} {
		o := guardObservations{need: 2, detached: tt.detached, detachedLong: tt.detachedLong, closeTime: closeTime,
			sinceElected: tt.sinceElected, sinceFirst: tt.sinceFirst}
		if got := o.guardProofVerdict(); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestGuardCloseTime(t *testing.T) {
	if got := GuardCloseTime(&cluster.Master{MaxLag: 5}); got != 7500*time.Millisecond {
		t.Errorf("got %s", got)
	}
}
