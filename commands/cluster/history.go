package cluster

import "time"

// Change is one change of mastership, as the new master's agent saw it.
type Change struct {
	At     time.Time     `json:"at"` // when writes were let in
	From   string        `json:"from,omitempty"`
	To     string        `json:"to"`
	Term   uint64        `json:"term"`
	Cause  string        `json:"cause"`
	Outage time.Duration `json:"outage_ns"` // from when the fault was seen, or writes were held back, until they were let in
	Steps  []Step        `json:"steps,omitempty"`
}

// Step is one of a take-over, and when it was done.
type Step struct {
	Name string        `json:"step"`
	At   time.Duration `json:"at_ns"` // since the take-over began
}
