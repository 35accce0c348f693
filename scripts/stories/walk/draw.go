package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"resec/scripts/lab"
)

// Fault is a fault that lasts for some time. It names members by their roles at that moment, so that a seed draws the same faults
// whichever member is the master.
type Fault struct {
	Kind
	On     int // 0: the master; i: the i-th other member. Of Consul's servers the i-th, or all of them if there is none
	To     int // the other end of a link, or a replica's new master; On itself: none
	How    lab.Cut
	OneWay bool          // from On to To
	After  time.Duration // the fault before it in its step
	For    time.Duration
}

// Step is what is done at once, and how long the walk waits then.
type Step struct {
	Faults []Fault
	Settle bool // until they are undone, and the cluster is whole
	Pause  time.Duration
}

// drawing is what the draw of a round depends on.
type drawing struct {
	*rand.Rand
	setting
	kinds []Kind
	kills int // of servers that forget what they had in memory
	wipes int
}

// draw is a round: a few faults, often two at once.
func (d *drawing) draw() (steps []Step) {
	for range 1 + d.IntN(3) {
		s := Step{Faults: []Fault{d.fault()}}
		if d.IntN(5) < 2 {
			f := d.fault()
			f.After = time.Duration(d.IntN(2)) * d.between(0, 500*time.Millisecond)
			s.Faults = append(s.Faults, f)
		}
		if s.Settle = d.IntN(2) == 0; !s.Settle {
			s.Pause = d.between(0, 5*time.Second)
		}
		steps = append(steps, s)
	}
	return steps
}

func (d *drawing) fault() Fault {
	for {
		f := Fault{Kind: d.kinds[d.IntN(len(d.kinds))], How: d.how(), OneWay: d.IntN(4) == 0}
		f.On = max(0, d.IntN(2*d.Members-2)-d.Members+2) // half of them are the master's
		n := kinds[f.Kind]
		f.For = d.between(n.least, n.most)
		if n.least == 0 && d.IntN(3) == 0 {
			f.For = 0 // at once, as a supervisor does
		}
		switch f.Kind {
		case ServerKilled, ServerFrozen:
			f.On = d.IntN(d.Servers + 1)
		case ClientKilled, ClientLeft:
			if !d.Clients {
				continue
			}
		case LinksKilled, ByHand:
			f.On = 1 + d.IntN(d.Members-1)
		}
		f.To = (f.On + 1 + d.IntN(d.Members-1)) % d.Members
		if f.Kind == ByHand && f.To == 0 {
			f.To = f.On
		}
		if d.spares(f) {
			return f
		}
	}
}

// spares reports whether every key is still on one member after the fault: no more than one disk is wiped in a round, and of
// a cluster that keeps nothing on disk one member is not killed.
func (d *drawing) spares(f Fault) bool {
	kills, wipes := d.kills, d.wipes
	if f.is(forgets) && d.Persist == lab.None {
		kills++
	}
	if f.Kind == RedisWiped {
		wipes++
	}
	if kills > d.Members-1 || wipes > 1 {
		return false
	}
	d.kills, d.wipes = kills, wipes
	return true
}

// how is a way for a link to fail. One that rejects fakes a death: it is for clusters that do not act on one early.
func (d *drawing) how() lab.Cut {
	if !d.Rejects {
		return lab.Drop
	}
	return []lab.Cut{lab.Drop, lab.Reset, lab.Refuse}[d.IntN(3)]
}

func (d *drawing) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(d.Float64()*float64(most-least))).Round(10 * time.Millisecond)
}

var hows = map[lab.Cut]string{lab.Drop: "drop", lab.Reset: "reset", lab.Refuse: "refuse"}

func (f Fault) String() string {
	out := fmt.Sprintf("%s %d", f.Kind, f.On)
	if f.is(cuts) {
		out += " " + hows[f.How]
		if f.OneWay {
			out += " one way"
		}
	}
	if f.Kind == MemberLink || f.Kind == ByHand {
		out += fmt.Sprint(" to ", f.To)
	}
	if f.After > 0 {
		out = fmt.Sprintf("after %s %s", f.After, out)
	}
	return fmt.Sprintf("%s for %s", out, f.For)
}

func (s Step) String() string {
	var all []string
	for _, f := range s.Faults {
		all = append(all, f.String())
	}
	then := fmt.Sprint("wait ", s.Pause)
	if s.Settle {
		then = "settle"
	}
	return strings.Join(all, ", and ") + "; " + then
}
