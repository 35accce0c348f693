package status

import "resec/commands/cluster"

// warnings are what is not wrong now, and will be: they leave the verdict as it is.
func warnings(v cluster.View, answers []MemberStatus) (all []string) {
	for _, a := range answers {
		if key := v.LiveAgents[a.ID]; key.StartedAs != "" && a.Err == nil && key.RunID == a.Status.RunID {
			all = append(all, a.ID+": "+key.StartedAs.Warning())
		}
	}
	if why := nobodyMaySucceed(v.State.Master, answers); why != "" {
		all = append(all, why)
	}
	return all
}

// nobodyMaySucceed says that each replica that answers is never promoted by itself; empty if one may be, or none answers.
func nobodyMaySucceed(m *cluster.Master, answers []MemberStatus) string {
	never := 0
	for _, a := range answers {
		if m == nil || a.ID == m.ID || a.Err != nil {
			continue
		}
		if !a.Candidate().NeverPromoted() {
			return ""
		}
		never++
	}
	if never == 0 {
		return ""
	}
	return "no replica may take over: the replica-priority of each is 0"
}
