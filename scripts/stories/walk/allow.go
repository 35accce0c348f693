package main

import (
	"slices"
	"time"

	"resec/scripts/lab"
)

// What the invariants of scripts/README.md let pass.
const (
	firstPass  = 50 * time.Millisecond  // of a Redis that was thawed
	comesBack  = time.Second            // in which a Consul agent that is back may list an old master
	tellsAgain = 30 * time.Second       // until it has told its servers of all it knows: 15 s, and up to as long again (Consul's agent/ae)
	telling    = 100 * time.Millisecond // in which it may be just telling them of a check, with the service as it was, at a handover
	replicates = time.Second            // the lag of a replica that is well
	answers    = 100 * time.Millisecond
)

// Sight is all that was seen of a round.
type Sight struct {
	Began    time.Time
	Persist  lab.Persist
	Clients  bool
	Harms    []Harm
	Skipped  []Harm
	Before   []Harm                 // of the rounds before, as far as they may show in this one
	Whole    []time.Time            // when the cluster was seen to be whole, first at the round's begin
	Accepted map[int][]lab.Interval // when each member accepted writes
	Noise    time.Duration          // by how much this machine was late at most

	lab.Verdict
	Running, Tidy, Kept error
	Views               error   // which view of the cluster is not what a client sees
	Bad                 []error // what was not as it should be while the faults were done
}

// slack is what a busy machine can be blamed for.
func (s Sight) slack() time.Duration { return 3 * s.Noise }

// recent are the harms that may show in this round.
func (s Sight) recent() []Harm { return slices.Concat(s.Before, s.Harms) }

// mayBeTwo reports whether two members may have accepted writes at the same time: right after one of them was thawed.
func (s Sight) mayBeTwo(a, b int, when lab.Interval) bool {
	return slices.ContainsFunc(s.recent(), func(h Harm) bool {
		return h.is(thaws) && (h.Member == a || h.Member == b) && !when.From.Before(h.Until) && !when.To.After(h.Until.Add(firstPass+s.slack()))
	})
}

// carried are the harms that may show in the next round, which may begin at once.
func (s Sight) carried() []Harm {
	return slices.DeleteFunc(s.recent(), func(h Harm) bool { return time.Since(h.Until) > tellsAgain })
}

// mayBeListed reports whether two masters may have been listed: for a moment after a Consul agent came back, and for an
// instant while one of them was handing over to the other.
func (s Sight) mayBeListed(when lab.Interval) bool {
	return slices.ContainsFunc(s.recent(), func(h Harm) bool {
		switch since := when.From.Sub(h.Until); {
		case h.is(returns) && (s.Clients || !h.is(beside)) && since >= 0 && since <= tellsAgain:
			return when.Lasted() <= comesBack+s.slack()
		case h.is(hands) && !when.From.Before(h.From) && since <= telling:
			return when.Lasted() <= telling+s.slack()
		}
		return false
	})
}

// mayLose are the times in which writes were acknowledged that may be lost: to a fault that takes a master away from what
// it wrote last, from its replicas' lag before the fault on until another accepts writes.
func (s Sight) mayLose() (out []lab.Interval) {
	for _, h := range s.Harms {
		if !h.is(severs) {
			continue
		}
		for i, reigns := range s.Accepted {
			if !h.touches(i) {
				continue
			}
			for _, reign := range reigns {
				if reign.To.Before(h.From.Add(-replicates)) || reign.From.After(h.Until) {
					continue
				}
				over := s.takenOver(i, h, reign)
				out = append(out, lab.Interval{From: s.since(i, h, over), To: over.Add(answers + s.slack())})
				if h.is(thaws) && h.Until.After(over) {
					out = append(out, lab.Interval{From: h.Until, To: h.Until.Add(firstPass + answers + s.slack())})
				}
			}
		}
	}
	return out
}

// takenOver is when the reign of a member that was harmed has ended: somebody else accepts writes, or it does itself, as a
// new Redis; or the cluster was whole again before that.
func (s Sight) takenOver(i int, h Harm, reign lab.Interval) time.Time {
	from, over := h.From, s.Whole[len(s.Whole)-1].Add(time.Hour)
	if reign.From.After(from) {
		from = reign.From
	}
	for j, reigns := range s.Accepted {
		for _, next := range reigns {
			if (j != i || h.is(forgets)) && next.From.After(from) && next.From.Before(over) {
				over = next.From
			}
		}
	}
	for _, whole := range s.Whole {
		if whole.After(h.Until) && whole.Before(over) {
			over = whole
		}
	}
	return over
}

// since is from when on a member's writes may be nowhere else, at a harm to it: its replicas' lag before. Where there is
// no other that was well all the time since the cluster was whole, it is since the first of them was not; and where what
// was in memory is gone too, what is left is as old as their disks.
func (s Sight) since(i int, h Harm, over time.Time) time.Time {
	whole := s.Began
	for _, at := range s.Whole {
		if at.Before(h.From) {
			whole = at
		}
	}
	ill, first, forgot := map[int]bool{i: true}, h.From, h.is(forgets)
	for _, g := range s.Harms {
		if !g.is(impairs) || g.Until.Before(whole) || g.From.After(over) {
			continue
		}
		for j := range s.Accepted {
			if j != i && g.touches(j) {
				ill[j] = true
				forgot = forgot || g.is(forgets)
				if g.From.Before(first) {
					first = g.From
				}
			}
		}
	}
	switch {
	case len(ill) < len(s.Accepted):
		return h.From.Add(-replicates)
	case forgot && s.Persist == lab.RDB:
		return s.Began
	}
	return first.Add(-replicates)
}
