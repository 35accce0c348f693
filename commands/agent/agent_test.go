package agent

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
)

func TestStallLimit(t *testing.T) {
	a := bareAgent()
	a.EarlyTakeover = true
	expect.Equal(t, "stalls", a.stallLimit(), cluster.StallLimit(4*time.Second, time.Second, time.Second))
}
