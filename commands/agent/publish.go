package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers/redis"
)

// advertise says in the catalogue what we are. reign is the term under which our Redis is master, 0 where it is not.
func (a *Agent) advertise(k snapshot, reign uint64) {
	if !k.Probed || k.View.Index == 0 {
		return
	}
	e := serviceEntry(k, reign, a.Me.ID)
	e.Meta["id"] = a.Me.ID
	a.setAdvertised(e)
	a.Registrar.Set(e)
}

// setAdvertised remembers what is said of us, for systemd and for who asks by a signal.
func (a *Agent) setAdvertised(e catalog.Entry) {
	if was := a.advertised.Load(); was.Role != e.Role || was.Status != e.Status || was.Output != e.Output {
		a.advertised.Update(func(now *catalog.Entry) { *now = e })
	}
}

// confirmMaster says whether a master's entry may still be published: another may be listed by now.
func (a *Agent) confirmMaster(ctx context.Context, e catalog.Entry) error {
	if e.Role != catalog.Master {
		return nil
	}
	v, err := a.Lock.Read(ctx)
	var status api.StatusError
	switch {
	case errors.As(err, &status): // an agent without its servers: it tells nobody until it has them
		return nil
	case err != nil:
		return err
	}
	a.observeView(v)
	if m := v.State.Master; !v.Free() && v.Holder != a.Me.ID || m != nil && m.ID != a.Me.ID {
		return errNotOurs
	}
	return nil
}

// maxMetaBytes is how long a value of a service's Meta may be, in bytes.
// Source: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference#meta
const maxMetaBytes = 512

// serviceEntry decides what is published.
func serviceEntry(k snapshot, reign uint64, id string) catalog.Entry {
	st, term := k.Health.Status, k.View.State.Term()
	_, follows := cluster.FollowedMaster(k.Snapshot, id)
	e := catalog.Entry{Role: catalog.Replica, Status: api.HealthWarning}
	if m := k.View.State.Master; k.Paused && (k.Health.Err != nil || !st.Master || m == nil || st.RunID != m.RunID) {
		reign = 0 // what the pause has kept of it is the lock
	}
	switch {
	case reign != 0 && st.Fenced():
		e.Role, term = catalog.Master, reign
		e.Output = fmt.Sprintf("master, term %d, fenced: it refuses writes", reign)
	case reign != 0:
		e.Role, term, e.Status = catalog.Master, reign, api.HealthPassing
		e.Output = fmt.Sprintf("master, term %d", reign)
	case k.Health.Err == nil && cluster.IsServingMaster(k.Snapshot, id) && (k.View.Free() && k.HasLed || k.View.Holder == id):
		e.Role, e.Status = catalog.Master, api.HealthPassing // its lock is lost, and it is the first to take it again; after a start it has to first
		e.Output = fmt.Sprintf("master, term %d, without its lock", term)
	case k.Health.Err != nil:
		e.Status, e.Output = api.HealthCritical, "redis is unusable: "+redis.Summary(k.Health.Err)
	case k.Reason != "" && (!follows || k.View.Free()): // one that failed after all was done is over
		e.Output = k.Reason
	case st.Master:
		e.Output = "master on its own; waits for an election"
	case st.Parked():
		e.Output = "parked; waits for a master"
	case st.Syncing:
		e.Output = "syncing from " + st.MasterAddr
	case !st.LinkUp:
		e.Output = "the link to " + st.MasterAddr + " is down"
	default:
		e.Status, e.Output = api.HealthPassing, "replica of "+st.MasterAddr
	}
	if k.Health.AccessErr != nil {
		e.Output += "; redis does not let resec in"
	}
	e.Meta = map[string]string{"term": fmt.Sprint(term), "version": st.Version}
	if e.Output == k.Reason && k.Reason != "" { // of a check's output alone Consul's servers learn minutes later
		e.Meta["why"] = k.Reason[:min(len(k.Reason), maxMetaBytes)]
	}
	return e
}
