package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// nobody is an index that no member has.
const nobody = -1

// Harm is a fault as it was done.
type Harm struct {
	Fault
	Member, Other int       // the member that it hit, and the other end of a link; nobody if Consul is hit
	Server        []int     // Consul's
	From          time.Time // a moment before it was done
	Until         time.Time // a moment before it was undone; zero: not yet
	Skipped       bool      // what it was to hit was under another fault
	Nothing       string    // why it may have come to nothing
}

// touches reports whether it hit a member.
func (h Harm) touches(i int) bool { return h.Member == i || h.Other == i }

func (h Harm) String() string {
	out := string(h.Kind)
	if h.Member != nobody {
		out += fmt.Sprint(" m", h.Member)
	}
	if h.is(cuts) {
		out += " " + hows[h.How]
		if h.OneWay {
			out += " one way"
		}
	}
	switch {
	case h.Other != nobody:
		out += fmt.Sprint(" to m", h.Other)
	case h.Kind == ByHand:
		out += " to nobody"
	}
	if len(h.Server) > 0 {
		out += fmt.Sprint(" ", h.Server)
	}
	if h.Nothing != "" {
		out += " came to nothing: " + h.Nothing
	}
	return out
}

// book is what was done in a round, and what is under a fault now: each thing under one at a time.
type book struct {
	sync.Mutex
	harms []*Harm
	busy  map[string]bool
	bad   []error // what was not as it should be while it was done
}

// begin enters a harm, and reports whether all that it is to be done to is free.
func (b *book) begin(h *Harm, on []string) bool {
	b.Lock()
	defer b.Unlock()
	h.From = time.Now()
	b.harms = append(b.harms, h)
	if i := slices.IndexFunc(on, func(s string) bool { return b.busy[s] }); i >= 0 {
		h.Skipped, h.Nothing, h.Until = true, on[i]+" is under another fault", h.From
		return false
	}
	for _, s := range on {
		b.busy[s] = true
	}
	return true
}

// over says that a harm is about to be undone.
func (b *book) over(h *Harm) {
	b.Lock()
	defer b.Unlock()
	h.Until = time.Now()
}

// end says that it is undone, or that it came to nothing.
func (b *book) end(h *Harm, on []string, nothing, bad error) {
	b.Lock()
	defer b.Unlock()
	for _, s := range on {
		delete(b.busy, s)
	}
	if nothing != nil {
		h.Nothing = nothing.Error()
	}
	if bad != nil {
		b.bad = append(b.bad, fmt.Errorf("%s: %w", h, bad))
	}
}

// done are copies of the harms, and of those that were skipped.
func (b *book) done() (harms, skipped []Harm, bad []error) {
	b.Lock()
	defer b.Unlock()
	for _, h := range b.harms {
		if h.Skipped {
			skipped = append(skipped, *h)
		} else {
			harms = append(harms, *h)
		}
	}
	return harms, skipped, b.bad
}
