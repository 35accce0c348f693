package announce

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/handlers"
)

// waiting is what the catalogue shows of this process while it waits until it may be the member: a critical entry that says why.
// Otherwise the member would be missing without a word. It belongs to the goroutine of OpenUnique.
type waiting struct {
	token string    // in the entry's metadata, to know it again
	why   string    // that was shown last
	at    time.Time // when that was tried
	shown bool      // the entry may be registered
}

func newWaiting() *waiting { return &waiting{token: rand.Text()} }

// taken reports whether another process has our place in the catalogue, or had it: what is there is not ours to change.
func (w *waiting) taken(entries []handlers.Entry, node, serviceID string) bool {
	return slices.ContainsFunc(entries, func(e handlers.Entry) bool {
		return e.Node.Node == node && e.Service.ID == serviceID && e.Service.Meta[handlers.WaitsMeta] != w.token
	})
}

// showWaiting registers why this process waits, when that has changed, and once an interval if the entry is missing.
func (a *Announcer) showWaiting(ctx context.Context, w *waiting, why string) {
	now := time.Now()
	if why == w.why && now.Sub(w.at) < a.Registrar.Interval {
		return
	}
	k := a.Known.Load()
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil || w.taken(entries, k.Announced(a.Me).Node, a.Me.ServiceID) {
		return
	}
	ours := func(e handlers.Entry) bool { return e.Service.Meta[handlers.WaitsMeta] == w.token }
	if why == w.why && slices.ContainsFunc(entries, ours) {
		w.at = now
		return
	}
	w.why, w.at, w.shown = why, now, true
	e := catalog.Entry{Role: catalog.Replica, Node: k.Place.Node, Host: k.Place.KeptHost, Status: api.HealthCritical,
		Output: notStarted + why, Meta: catalog.Meta(a.Me.ID, 0, "")}
	e.Meta[handlers.WaitsMeta], e.Meta["why"] = w.token, catalog.ShortMeta(notStarted+why)
	if err := a.Registrar.ShowWaiting(ctx, e); err != nil {
		a.Log.Debug("cannot register why the agent waits, retrying", "event", "waiting_not_registered", "err", err)
	}
}

// hideWaiting removes the entry of showWaiting, because this process ends without having become the member.
func (a *Announcer) hideWaiting(ctx context.Context, w *waiting) {
	if !w.shown {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.FinalCallTimeout())
	defer cancel()
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err == nil && !w.taken(entries, a.Known.Load().Announced(a.Me).Node, a.Me.ServiceID) {
		err = a.Registrar.HideWaiting(ctx)
	}
	if err != nil {
		a.Log.Warn("cannot deregister the service of the agent that waited; it stays critical in the catalogue",
			"event", "waiting_left", "err", err)
	}
}
