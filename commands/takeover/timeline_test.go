package takeover

import (
	"testing"
	"time"

	"resec/commands/cluster"
)

func TestOutage(t *testing.T) {
	step := func(name string, ms int) cluster.Step {
		return cluster.Step{Name: name, At: time.Duration(ms) * time.Millisecond}
	}
	for _, tt := range []struct {
		name  string
		steps []cluster.Step
		want  time.Duration // ms
	}{
		{"the old master answered", []cluster.Step{step(StepPeersParked, 1), step(StepPaused, 2), step(StepWritesEnabled, 9)}, 7},
		{"it did not", []cluster.Step{step(StepPeersParked, 1), step(StepUnreachable, 2), step(StepWritesEnabled, 9)}, 1009},
		{"written by an older version", []cluster.Step{step("sealed", 1), step("paused", 2), step("lifted", 9)}, 7},
		{"written by an older version, it did not answer", []cluster.Step{step("silent", 2), step("lifted", 9)}, 1009},
	} {
		if got := outage(tt.steps, time.Second); got != tt.want*time.Millisecond {
			t.Errorf("%s: got %s", tt.name, got)
		}
	}
}

func TestStepDescription(t *testing.T) {
	for former, present := range formerStepNames {
		if StepDescription(former) != StepDescription(present) {
			t.Errorf("%s is not described like %s", former, present)
		}
	}
	for name, described := range map[string]bool{StepPaused: true, StepWritesEnabled: true, "lifted": true, "proven": true,
		StepChecked: false, "elected": false} {
		if got := StepDescription(name); (got != "") != described {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTimeline(t *testing.T) {
	var none *Timeline
	if none.step(StepPaused); none.Steps() != nil {
		t.Error("a nil timeline records steps")
	}
	line := NewTimeline()
	line.step(StepPaused)
	line.step(StepFenced)
	if got := line.Steps(); len(got) != 2 || got[0].Name != StepPaused || got[1].At < got[0].At {
		t.Errorf("got %+v", got)
	}
}
