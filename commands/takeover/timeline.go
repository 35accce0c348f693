package takeover

import (
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
)

// Timeline is when the steps of a take-over were done. A nil Trace keeps none.
type Timeline struct {
	mu    sync.Mutex
	began time.Time
	steps []cluster.Step
}

// NewTimeline begins one now.
func NewTimeline() *Timeline { return &Timeline{began: time.Now()} }

// step notes that one is done.
func (t *Timeline) step(name string) {
	if t != nil {
		t.mu.Lock()
		t.steps = append(t.steps, cluster.Step{Name: name, At: time.Since(t.began)})
		t.mu.Unlock()
	}
	failpoint.Hit(name)
}

// Steps are those done by now.
func (t *Timeline) Steps() []cluster.Step {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]cluster.Step(nil), t.steps...)
}

// Outage is for how long writes were held back, where the old master answered; otherwise since the fault was noticed, so long
// before the take-over began.
func Outage(steps []cluster.Step, before time.Duration) time.Duration {
	at := map[string]time.Duration{}
	for _, s := range steps {
		at[s.Name] = s.At
	}
	if paused, planned := at["paused"]; planned {
		return at["lifted"] - paused
	}
	return at["lifted"] + before
}

// StepDescription is what a step has done, for people; nothing for one that says nothing to them.
func StepDescription(name string) string {
	return map[string]string{
		"sealed":    "the other replicas are parked",
		"paused":    "the old master holds writes back",
		"fenced":    "the old master refuses writes",
		"drained":   "all that it has is here",
		"parked":    "the old master is parked",
		"silent":    "the old master is silent: its guard is waited for",
		"proven":    "its guard has closed it",
		"promoted":  "the new master is promoted",
		"published": "the new master is published",
		"lifted":    "the new master accepts writes",
	}[name]
}
