package announce

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/known"
	"resec/commands/logonce"
	"resec/commands/watch"
	"resec/handlers"
)

// hiddenRest is how long the checks of the node are not read after a change of them. A failover changes several within some
// milliseconds, and reading them each time would slow it down. What begins and ends meanwhile is not seen.
const hiddenRest = 500 * time.Millisecond

// WatchHidden notes whether a check that is not ours keeps clients from finding this member: maintenance of its node or service,
// or what somebody else checks there. It asks Consul's servers, as clients do. In an outage of Consul the last answer counts. It
// also logs that another program has set our own check critical.
func (a *Announcer) WatchHidden(ctx context.Context) {
	if a.Me.Node == "" {
		return
	}
	var hidden logonce.Once
	var foreign foreignCheck
	watch.Query(ctx, hiddenRest, func(opt *api.QueryOptions) (*api.QueryMeta, error) {
		found, meta, err := a.Lock.Client.Health().Node(a.Known.Load().Announced(a.Me).Node, opt)
		if err != nil {
			foreign.confirmed = false
			return nil, err
		}
		by, serf := handlers.HiddenBy(checksOf(found), a.Me.ServiceID)
		a.noteHidden(by, serf, &hidden)
		foreign.log(a, found)
		return meta, nil
	}, watch.Log(a.Log, "checks of node "+a.Me.Node))
}

// checksOf are checks of Consul's API as handlers read them.
func checksOf(found api.HealthChecks) (checks []handlers.Check) {
	for _, c := range found {
		checks = append(checks, handlers.Check{CheckID: c.CheckID, Name: c.Name, ServiceID: c.ServiceID, Status: c.Status,
			Output: c.Output, Notes: c.Notes})
	}
	return checks
}

// noteHidden notes what hides this member, and logs when that begins, changes or ends.
func (a *Announcer) noteHidden(by string, serf bool, logged *logonce.Once) {
	now := time.Now()
	if was := a.Known.Load().Hidden; was.By != by || was.Serf != serf {
		a.Known.Update(func(k *known.Snapshot) { k.Hidden = k.Hidden.Observe(by, serf, now) })
	}
	switch {
	case by == "" && logged.Active():
		logged.Reset()
		a.Log.Info("clients find this member again", "event", "found_again", "member", a.Me.ID)
	case by != "" && logged.Changed(by):
		a.Log.Warn("a check that is not resec's keeps clients from finding this member", "event", "hidden", "member", a.Me.ID,
			"why", by)
	}
}

// foreignCheck is whether another program has made our check critical, as it was logged. The goroutine of WatchHidden owns it.
type foreignCheck struct {
	// Consul's servers have shown the check as this process wrote it since Consul failed last. What they show before may be older:
	// a predecessor's, or what a Consul agent has restored after its own restart.
	confirmed bool
	logged    logonce.Once
}

func (f *foreignCheck) log(a *Announcer, shown api.HealthChecks) {
	output, seen := a.Registrar.ForeignCheck(shown)
	switch {
	case !seen:
	case output == "":
		f.confirmed = f.confirmed || a.Known.Load().Registered
		f.logged.Reset()
	case f.confirmed && f.logged.Changed(output):
		a.Log.Warn("another program has set this member's check critical, so consul ends its session; the check is updated again, "+
			"and a new session follows", "event", "check_set_by_other", "check", a.Registrar.CheckID(), "output", output)
	}
}
