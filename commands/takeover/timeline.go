package takeover

import (
	"cmp"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
)

// The steps of a takeover, in the order in which they may occur. They name the failpoints, the label of the metric
// resec_takeover_step_duration_seconds, and the steps in the history.
const (
	StepPeersParked     = "peers_parked"     // the members within reach, except the old master, are parked
	StepPaused          = "paused"           // the old master holds writes back
	StepFenced          = "fenced"           // the old master refuses writes
	StepDrained         = "drained"          // our Redis has all data of the old master
	StepParked          = "parked"           // the old master is parked
	StepUnreachable     = "unreachable"      // the old master does not answer
	StepGuardClosed     = "guard_closed"     // its guard is proven to refuse writes
	StepLockTransferred = "lock_transferred" // another member has newer data and got the lock
	StepCatchUp         = "catch_up"         // another member has newer data, and its agent is dead: our Redis syncs from it
	StepSourcePromoted  = "source_promoted"  // that member is a fenced master for the time of the sync
	StepChecked         = "checked"          // our Redis has the newest data and may lead
	StepPromoted        = "promoted"         // our Redis is a fenced master
	StepPublished       = "published"        // our Redis is the published master
	StepWritesEnabled   = "writes_enabled"   // our Redis accepts writes
)

// formerStepNames maps the names in histories of older versions to the present ones.
var formerStepNames = map[string]string{
	"sealed":  StepPeersParked,
	"silent":  StepUnreachable,
	"proven":  StepGuardClosed,
	"yielded": StepLockTransferred,
	"catchup": StepCatchUp,
	"lent":    StepSourcePromoted,
	"lifted":  StepWritesEnabled,
}

func presentStepName(name string) string { return cmp.Or(formerStepNames[name], name) }

// Timeline records when the steps of a takeover were done. A nil Timeline records none. Several goroutines may use it.
type Timeline struct {
	mu    sync.Mutex
	began time.Time
	steps []cluster.Step
}

// NewTimeline returns a timeline that begins now.
func NewTimeline() *Timeline { return &Timeline{began: time.Now()} }

// step records that a step is done.
func (t *Timeline) step(name string) {
	if t != nil {
		t.mu.Lock()
		t.steps = append(t.steps, cluster.Step{Name: name, At: time.Since(t.began)})
		t.mu.Unlock()
	}
	failpoint.Hit(name)
}

// Steps returns the steps that are done.
func (t *Timeline) Steps() []cluster.Step {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]cluster.Step(nil), t.steps...)
}

// outage returns for how long no master accepted writes. If the old master answered, it begins when writes were paused.
// Otherwise it begins when the fault was noticed, which was the given time before the takeover began.
func outage(steps []cluster.Step, before time.Duration) time.Duration {
	at := map[string]time.Duration{}
	for _, s := range steps {
		at[presentStepName(s.Name)] = s.At
	}
	if paused, answered := at[StepPaused]; answered {
		return at[StepWritesEnabled] - paused
	}
	return at[StepWritesEnabled] + before
}

// StepDescription returns what was done in a step, for an operator; empty for a step that says nothing to them.
func StepDescription(name string) string {
	return map[string]string{
		StepPeersParked:   "the other replicas are parked",
		StepPaused:        "the old master holds writes back",
		StepFenced:        "the old master refuses writes",
		StepDrained:       "the new master has all its data",
		StepParked:        "the old master is parked",
		StepUnreachable:   "the old master is unreachable: waiting for its guard",
		StepGuardClosed:   "its guard refuses writes",
		StepPromoted:      "the new master is promoted",
		StepPublished:     "the new master is published",
		StepWritesEnabled: "the new master accepts writes",
	}[presentStepName(name)]
}
