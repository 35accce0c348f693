package cluster

import "time"

// Change is one change of the master, as the new master's agent recorded it.
type Change struct {
	At     time.Time     `json:"at"`             // when the new master accepted writes
	From   string        `json:"from,omitempty"` // member id; empty: there was no master
	To     string        `json:"to"`
	Term   uint64        `json:"term"`
	Cause  string        `json:"cause"`
	Outage time.Duration `json:"outage_ns"` // from when the failure was seen, or writes were held back, until At
	Steps  []Step        `json:"steps,omitempty"`
}

// Step is one step of a takeover.
type Step struct {
	Name string        `json:"step"`
	At   time.Duration `json:"at_ns"` // when it was completed, since the takeover began
}
