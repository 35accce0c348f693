package cluster

// Request is an operator's: that member shall be master. It lives with the session of who asks.
type Request struct {
	To          string   `json:"to,omitempty"`       // id; in a plan that nobody has accepted also an address, or nothing
	ForceFollow []string `json:"overrule,omitempty"` // by force: ids that shall follow, whatever that wipes
	Planned     bool     `json:"planned,omitempty"`  // not by force: the master's agent decides, and nothing is lost
	DryRun      bool     `json:"dry_run,omitempty"`  // it says only how it would decide
	Accepted    bool     `json:"accepted,omitempty"` // by the master's agent
	Answer      string   `json:"answer,omitempty"`   // why it is not done, or what a dry run has found; it is over then
	Session     string   `json:"-"`
	Index       uint64   `json:"-"` // of its last change
}

// Active tells whether the lock is to be passed because of it.
func (r *Request) Active() bool { return r != nil && (!r.Planned || r.Accepted) }
