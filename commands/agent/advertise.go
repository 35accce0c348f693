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

// advertise makes the catalogue show what this member is. term is the term in which our Redis is master, 0 if it is not.
func (a *Agent) advertise(k snapshot, term uint64) {
	if !k.Probed || !k.Fresh {
		return
	}
	e := serviceEntry(k, term, a.Me.ID)
	e.Meta["id"] = a.Me.ID
	a.setAdvertised(e)
	a.Registrar.Set(e)
}

// setAdvertised notes what is shown of this member, for systemd and for a state dump.
func (a *Agent) setAdvertised(e catalog.Entry) {
	if was := a.advertised.Load(); was.Role != e.Role || was.Status != e.Status || was.Output != e.Output {
		a.advertised.Update(func(now *catalog.Entry) { *now = e })
	}
}

// confirmMaster returns nil if a master's entry may still be registered: another member may be listed by now. It returns
// errNotHolder if another member is the master, and the error of Consul's servers if they do not answer.
func (a *Agent) confirmMaster(ctx context.Context, e catalog.Entry) error {
	if e.Role != catalog.Master {
		return nil
	}
	v, err := a.observer.Read(ctx)
	var status api.StatusError
	if errors.As(err, &status) { // a Consul agent without servers: it tells no other agent until it has them
		return nil
	}
	if err != nil {
		return err
	}
	if m := v.State.Master; !v.Free() && v.Holder != a.Me.ID || m != nil && m.ID != a.Me.ID {
		return errNotHolder
	}
	return nil
}

// maxMetaBytes is how long a value of a service's Meta may be, in bytes.
// Source: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference#meta
const maxMetaBytes = 512

// serviceEntry decides what the catalogue shows of this member.
func serviceEntry(k snapshot, term uint64, id string) catalog.Entry {
	if k.Paused && !servesAsPublished(k) {
		term = 0 // what the pause has kept of the term is the lock
	}
	e := roleEntry(k, term, id)
	if k.Health.AccessErr != nil {
		e.Output += "; redis denies access to resec"
	}
	published := k.View.State.Term()
	if e.Role == catalog.Master && term != 0 {
		published = term
	}
	e.Meta = map[string]string{"term": fmt.Sprint(published), "version": k.Health.Status.Version}
	if e.Output == k.Reason && k.Reason != "" { // Consul's servers learn of a change of a check's output alone minutes later
		e.Meta["why"] = k.Reason[:min(len(k.Reason), maxMetaBytes)]
	}
	return e
}

// servesAsPublished reports whether our Redis answers as a master, and is the published instance.
func servesAsPublished(k snapshot) bool {
	st, m := k.Health.Status, k.View.State.Master
	return k.Health.Err == nil && st.Master && m != nil && st.RunID == m.RunID
}

// roleEntry is the role, the check's status and its output.
func roleEntry(k snapshot, term uint64, id string) catalog.Entry {
	switch {
	case term != 0 && k.Health.Status.Fenced():
		return catalog.Entry{Role: catalog.Master, Status: api.HealthWarning, Output: fmt.Sprintf("master, term %d, fenced: it refuses writes", term)}
	case term != 0:
		return catalog.Entry{Role: catalog.Master, Status: api.HealthPassing, Output: fmt.Sprintf("master, term %d", term)}
	case reclaimsLock(k, id):
		return catalog.Entry{Role: catalog.Master, Status: api.HealthPassing, Output: fmt.Sprintf("master, term %d, without its lock", k.View.State.Term())}
	}
	return replicaEntry(k, id)
}

// reclaimsLock reports whether our Redis is the published master whose lock was lost, and we are the first to take it again.
// After a start we have to take it before that.
func reclaimsLock(k snapshot, id string) bool {
	ours := k.View.Free() && k.HasLed || k.View.Holder == id
	return k.Health.Err == nil && ours && cluster.IsServingMaster(k.Snapshot, id)
}

// replicaEntry is the entry of a member that is not the master.
func replicaEntry(k snapshot, id string) catalog.Entry {
	st := k.Health.Status
	_, follows := cluster.FollowedMaster(k.Snapshot, id)
	e := catalog.Entry{Role: catalog.Replica, Status: api.HealthWarning}
	switch {
	case k.Health.Err != nil:
		e.Status, e.Output = api.HealthCritical, "redis is unusable: "+redis.Summary(k.Health.Err)
	case k.Reason != "" && (!follows || k.View.Free()): // once it follows, an earlier failure is over
		e.Output = k.Reason
	case st.Master:
		e.Output = "master without election; waits for one"
	case st.Parked():
		e.Output = "parked; waits for a master"
	case st.Syncing:
		e.Output = "syncing from " + st.MasterAddr
	case !st.LinkUp:
		e.Output = "the link to " + st.MasterAddr + " is down"
	default:
		e.Status, e.Output = api.HealthPassing, "replica of "+st.MasterAddr
	}
	return e
}
