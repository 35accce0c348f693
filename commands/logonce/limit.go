package logonce

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// freeLines is how many lines of one event are logged before they are limited, however far apart they are. Within
	// firstMinute of the first one there may be linesAtOnce.
	freeLines, linesAtOnce = 4, 10
	firstMinute            = time.Minute
	// repeatAfter is the pause between two lines of a condition that lasts. An event that was not logged for so long has ended.
	repeatAfter = 5 * time.Minute
)

// Limiter keeps an event that comes again and again from filling the log. It is what bounds the log of a condition that neither
// lasts nor ends: a Redis that dies after each start, a Consul that refuses every other call. The first lines of an event are
// logged. Then one line is logged every five minutes, the newest, with the attribute "repeated": how many there were since the
// last one. Once an event has not come for five minutes, its lines are logged as at first.
//
// An event is the attribute "event" of a line; lines without it, lines below INFO, and those of Unlimited are not limited. Any
// goroutine may use a Limiter. Each limited event has a timer, which Close ends.
type Limiter struct {
	Unlimited []string // events that somebody asks for; set before the first line, and not changed afterwards

	mu     sync.Mutex
	events map[string]*limited
	closed bool
	now    func() time.Time
	after  func(time.Duration, func()) (stop func() bool)
}

// limited is what is known of one event.
type limited struct {
	began  time.Time                // when the event came first
	lines  int                      // logged since the event began
	last   time.Time                // when the event came last
	held   int                      // lines that were not logged since the last one
	newest func(repeated int) error // logs the newest of them
	stop   func() bool              // ends the timer
}

// NewLimiter returns a limiter that has seen nothing.
func NewLimiter() *Limiter {
	return &Limiter{events: map[string]*limited{}, now: time.Now, after: func(d time.Duration, f func()) func() bool {
		return time.AfterFunc(d, f).Stop
	}}
}

// Handler returns h with limited lines. Handlers of one limiter limit together.
func (l *Limiter) Handler(h slog.Handler) slog.Handler { return limitedHandler{h, l} }

// Close logs the newest line of each event that was held back, and holds nothing back from now on.
func (l *Limiter) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, e := range l.events {
		if e.stop != nil {
			e.stop()
		}
		e.flush()
	}
}

// take reports whether a line of an event is to be logged now. If not, it keeps the line until it may be.
func (l *Limiter) take(event string, log func(repeated int) error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true
	}
	e, now := l.events[event], l.now()
	if e == nil || now.Sub(e.last) >= repeatAfter && e.held == 0 {
		e = &limited{began: now}
		l.events[event] = e
	}
	e.last = now
	if e.lines < freeLines || e.lines < linesAtOnce && now.Sub(e.began) < firstMinute {
		e.lines++
		return true
	}
	e.held, e.newest = e.held+1, log
	if e.stop == nil {
		e.stop = l.after(repeatAfter, func() { l.due(e) })
	}
	return false
}

// due logs what was held back of an event for repeatAfter.
func (l *Limiter) due(e *limited) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		e.stop = nil
		e.flush()
	}
}

// flush logs the newest line that was held back. The handler has no error that could be logged.
func (e *limited) flush() {
	if e.held > 0 {
		_ = e.newest(e.held)
	}
	e.held, e.newest = 0, nil
}

// limitedHandler asks the limiter before it passes a line on.
type limitedHandler struct {
	slog.Handler
	limiter *Limiter
}

// Handle passes a line on, unless too many of its event were logged.
func (h limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	event := eventOf(r)
	if event == "" || r.Level < slog.LevelInfo || slices.Contains(h.limiter.Unlimited, event) {
		return h.Handler.Handle(ctx, r)
	}
	later := func(repeated int) error {
		kept := r.Clone()
		kept.AddAttrs(slog.Int("repeated", repeated))
		return h.Handler.Handle(context.WithoutCancel(ctx), kept)
	}
	if !h.limiter.take(event, later) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that limits together with this one.
func (h limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limitedHandler{h.Handler.WithAttrs(attrs), h.limiter}
}

// WithGroup returns a handler that limits together with this one.
func (h limitedHandler) WithGroup(name string) slog.Handler {
	return limitedHandler{h.Handler.WithGroup(name), h.limiter}
}

// eventOf is the name of a line's event; empty: it has none.
func eventOf(r slog.Record) (event string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" {
			event = a.Value.String()
		}
		return event == ""
	})
	return event
}
