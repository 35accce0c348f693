package observe

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/cluster"
)

const (
	// doubt is how long a state that is older than one that was seen is not believed. The agents write the newest one back sooner.
	doubt = 10 * time.Second
	// believeRetry is the pause after a read that failed.
	believeRetry = 5 * time.Second
)

// Believer makes an observer believe what Consul shows at last, if that has been older for long than what was seen: then nobody
// else remembers more. It is for a process that only reads; agents write the newest state back. The time in which Consul is away
// does not count, because no agent can write then.
type Believer struct {
	Observer *Observer
	Watch    func() (Snapshot, <-chan struct{}) // what is known, and what the next change closes
	Doubts   func(cluster.View)                 // called when an older state is seen first; it logs what happens until then
	Log      *slog.Logger
}

// Run returns when the context ends.
func (b Believer) Run(ctx context.Context) {
	var since, retry time.Time // since when the state is older; when it may be read again
	for ctx.Err() == nil {
		k, changed := b.Watch()
		var due <-chan time.Time
		switch {
		case !k.View.WentBack || k.ConsulDown:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			b.Doubts(k.View)
			fallthrough
		default:
			due = time.After(max(time.Until(since.Add(doubt)), time.Until(retry)))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
			b.believe(ctx)
			retry = time.Now().Add(believeRetry)
		}
	}
}

// believe takes what Consul shows. It forgets the newest state only once Consul has answered: otherwise the watch's first answer
// after an outage would be believed at once.
func (b Believer) believe(ctx context.Context) {
	if _, err := b.Observer.Lock.Read(ctx); err != nil {
		return
	}
	b.Observer.Lock.LastKnown.Forget()
	if _, err := b.Observer.Read(ctx); err == nil {
		b.Log.Warn("nobody has written a newer state back; what consul shows is believed", "event", "consul_believed",
			"key", b.Observer.Lock.Key)
	}
}
