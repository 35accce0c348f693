// Package logonce keeps a condition that lasts from filling the log: one line when it begins or changes, not one a retry (Once),
// and a bound for an event that comes again and again (Limiter).
//
// It starts no goroutine. Each Once owns its last summary, and belongs to one goroutine. A Limiter owns what it holds back, and
// any goroutine may use it.
package logonce

// Once remembers the summary of what was logged last. The zero value has logged nothing. It belongs to one goroutine.
//
//	if err := try(); err == nil {
//		failure.Reset()
//	} else if failure.Changed(summary(err)) {
//		log.Warn("cannot register, retrying", "event", "register_failed", "err", err)
//	}
type Once struct {
	last   string
	logged bool
}

// Changed reports whether the summary differs from the last one, and remembers it: log if it does. The summary must be stable
// while the condition is the same: the kind of an error, not a text that names a port. If several events share one Once it begins
// with the event's name.
func (o *Once) Changed(summary string) bool {
	if o.logged && o.last == summary {
		return false
	}
	o.last, o.logged = summary, true
	return true
}

// Active reports whether a summary was remembered since the last Reset: whether the end of the condition is worth a line.
func (o *Once) Active() bool { return o.logged }

// Reset forgets the last summary, because the condition has ended: it is logged again when it begins again.
func (o *Once) Reset() { *o = Once{} }
