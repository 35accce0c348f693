package cluster

import "time"

// HandoverPace says when the members are asked which of them would serve clients instead of our Redis. Its fields belong to the
// goroutine of one keeper.
type HandoverPace struct {
	notBefore time.Time     // the end of the pause after the last handover
	Due       time.Time     // of the next survey
	pause     time.Duration // after it
	served    time.Time     // since when clients are served; zero: they are not
}

// NewHandoverPace returns the pace of a term. Before notBefore no handover begins, unless clients were served for
// minHandoverPause meanwhile.
func NewHandoverPace(notBefore time.Time) *HandoverPace {
	return &HandoverPace{notBefore: notBefore, Due: notBefore, pause: SurveyInterval}
}

// Observe notes whether there is a reason to hand over now.
func (p *HandoverPace) Observe(reason bool, now time.Time) {
	switch {
	case !reason && p.served.IsZero():
		p.served, p.pause = now, SurveyInterval
	case reason && !p.served.IsZero():
		p.Due, p.served = handoverDue(p.notBefore, p.served, now), time.Time{}
	}
}

// Tried notes that no member would serve clients.
func (p *HandoverPace) Tried(now time.Time, maxPause time.Duration) {
	p.Due, p.pause = now.Add(p.pause), min(2*p.pause, maxPause)
}

// Held reports whether only the pause after the last handover is waited for.
func (p *HandoverPace) Held(now time.Time) bool { return now.Before(p.Due) && p.Due.Equal(p.notBefore) }

// The pause after a handover because clients were not served, until this member makes another one. It doubles while they follow
// each other: a successor may fail, or have a fault that shows when it is the master.
const (
	minHandoverPause = 5 * time.Second
	maxHandoverPause = 5 * time.Minute
)

// handoverDue returns from when on a master may hand over for a reason that arises now. The pause after the last handover counts
// no longer once clients were served for minHandoverPause: then the reason is another one.
func handoverDue(notBefore, servedSince, now time.Time) time.Time {
	if now.Sub(servedSince) >= minHandoverPause {
		return now
	}
	return notBefore
}

// NextHandoverPause returns the pause after a handover, given the pause after the last one and the time since then.
func NextHandoverPause(last, since time.Duration) time.Duration {
	if last == 0 || since > maxHandoverPause {
		return minHandoverPause
	}
	return min(2*last, maxHandoverPause)
}
