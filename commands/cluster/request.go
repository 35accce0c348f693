package cluster

// Request is an operator's request for another master. It ends with the session of the command that made it.
type Request struct {
	To          string   `json:"to,omitempty"`       // member id; until a switchover is accepted also an address, or empty
	ForceFollow []string `json:"overrule,omitempty"` // of a forced failover: ids that must follow even if their data are unrelated
	Planned     bool     `json:"planned,omitempty"`  // a switchover, which the master's agent decides; otherwise a forced failover
	DryRun      bool     `json:"dry_run,omitempty"`  // only answer what would happen
	Accepted    bool     `json:"accepted,omitempty"` // by the master's agent
	Answer      string   `json:"answer,omitempty"`   // why it is refused or failed, or the result of a dry run; it is over then
	Session     string   `json:"-"`                  // of the command
	Index       uint64   `json:"-"`                  // ModifyIndex of its key
}

// Active reports whether the lock must be transferred because of the request. The nil request is not active.
func (r *Request) Active() bool { return r != nil && (!r.Planned || r.Accepted) }

// OtherRequested reports whether an operator requests another master whose agent is alive. A pause suspends requests.
func OtherRequested(k Snapshot, id string) bool {
	r := k.View.Request
	return !k.Paused && r.Active() && r.To != id && k.View.LiveAgents[r.To].Session != ""
}
