package agent

import (
	"testing"
	"time"

	"resec/commands/cluster"
)

func TestStallLimit(t *testing.T) {
	a := bareAgent()
	a.EarlyTakeover = true
	equal(t, "stalls", a.stallLimit(), cluster.StallLimit(4*time.Second, time.Second, time.Second))
}
