package cluster

// Eligibility is which members the state allows to lead.
type Eligibility int

const (
	// RecordedOnly: members that are in sync in their recorded run.
	RecordedOnly Eligibility = iota
	// AnyMember: every member. No member that may lead is in sync in its recorded run. Either all members answer, or one that was in
	// sync and cannot lead does: the next master gets what it lacks from that one.
	AnyMember
	// ColdStart: the last master and the members that were in sync with it, if they have data. Some members do not answer, and no
	// recorded run has answered for long enough.
	ColdStart
)

// Eligibility returns which members may lead, given the Redis servers that answer. quiet: no recorded run has answered for
// long enough.
//
//   - A member that loads its data, or that is in sync in its recorded run, restricts the election to recorded runs. What the
//     first one holds will be known soon. One that answered its master's stream with errors is not in sync, nor is one that has
//     lost its data.
//   - A member in sync that cannot lead restricts nothing. It holds the data, so any member may lead, whoever else is missing.
//   - If all members answer (or none is recorded), any member may lead.
//   - If some do not answer, quiet holds and no answering member is in its recorded run, it is a cold start.
func (s State) Eligibility(answers []Candidate, quiet bool) Eligibility {
	answered, recordedRuns, kept := 0, 0, false
	for _, c := range answers {
		r, recorded := s.Members[c.ID]
		if !recorded {
			continue
		}
		sameRun := r.RunID == c.RunID
		inSync := sameRun && !r.CatchingUp && c.StreamErrors == 0 && !c.LostData
		if c.Loading || inSync && !c.KeepsData(s) {
			return RecordedOnly
		}
		kept = kept || inSync
		answered++
		if sameRun {
			recordedRuns++
		}
	}
	if kept || answered == len(s.Members) {
		return AnyMember
	}
	if quiet && recordedRuns == 0 {
		return ColdStart
	}
	return RecordedOnly
}
