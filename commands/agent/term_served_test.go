package agent

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
)

// A reason that arises after clients were served for a while does not wait for the end of the pause.
func TestHandoverPace(t *testing.T) {
	start := time.Unix(100, 0)
	later := start.Add(time.Minute)
	p := handoverPace{notBefore: later, due: later, pause: cluster.SurveyInterval}
	p.observe(true, start)
	expect.Equal(t, "the reason of the last handover", p.due, later)
	expect.Equal(t, "it is held", p.held(start), true)
	p.observe(false, start.Add(time.Second))
	p.observe(true, start.Add(2*time.Second))
	expect.Equal(t, "it ended for a moment", p.due, later)
	p.observe(false, start.Add(3*time.Second))
	now := start.Add(3*time.Second + cluster.MinHandoverPause)
	p.observe(true, now)
	expect.Equal(t, "another reason", p.due, now)
	expect.Equal(t, "it is held", p.held(now), false)
	p.tried(now, time.Second)
	p.tried(now, time.Second)
	expect.Equal(t, "nobody would serve them, twice", p.due, now.Add(time.Second))
	expect.Equal(t, "that is no pause after a handover", p.held(now), false)
}
