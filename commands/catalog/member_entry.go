package catalog

import (
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// maxMetaBytes is how long a value of a service's Meta may be, in bytes.
// Source: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference#meta
const maxMetaBytes = 512

// EntryOf returns what the catalogue shows of the member with that id. term is the term in which its Redis is master; 0: it is
// not.
func EntryOf(k cluster.Snapshot, term uint64, id string) Entry {
	if k.Paused && !servesAsPublished(k) {
		term = 0 // what the pause has kept of the term is the lock
	}
	e := roleEntry(k, term, id)
	if k.Health.AccessErr != nil {
		e.Output += "; redis denies access to resec"
	}
	published := k.View.State.Term()
	if e.Role == Master && term != 0 {
		published = term
	}
	e.Meta = map[string]string{"id": id, "term": fmt.Sprint(published), "version": k.Health.Status.Version}
	why, note := "", wrongAddressNote(k, id)
	if e.Output == k.Reason {
		why = k.Reason
	}
	if note != "" {
		e.Output, why = e.Output+"; "+note, strings.TrimPrefix(why+"; "+note, "; ")
	}
	if why != "" { // Consul's servers learn of a change of a check's output alone minutes later
		e.Meta["why"] = why[:min(len(why), maxMetaBytes)]
	}
	return e
}

// wrongAddressNote says that our announced address, or the master's, leads to another member's Redis; empty if neither does.
func wrongAddressNote(k cluster.Snapshot, id string) string {
	var notes []string
	if why := k.View.WrongAddressReason(id); why != "" {
		notes = append(notes, "wrong address: "+why)
	}
	if m := k.View.State.Master; m != nil && k.WrongAddresses.Has(m.ID, m.Address) && k.Reason == "" {
		notes = append(notes, fmt.Sprintf("wrong address: %s, which %s announces, leads from here to another redis: "+
			"correct its ANNOUNCE_ADDR", m.Address, m.ID))
	}
	return strings.Join(notes, "; ")
}

// servesAsPublished reports whether our Redis answers as a master, and is the published instance.
func servesAsPublished(k cluster.Snapshot) bool {
	st, m := k.Health.Status, k.View.State.Master
	return k.Health.Err == nil && st.Master && m != nil && st.RunID == m.RunID
}

// roleEntry is the role, the check's status and its output.
func roleEntry(k cluster.Snapshot, term uint64, id string) Entry {
	switch {
	case term != 0 && k.Health.Status.Fenced():
		return Entry{Role: Master, Status: api.HealthWarning,
			Output: fmt.Sprintf("master, term %d, fenced: it refuses writes", term)}
	case term != 0:
		return Entry{Role: Master, Status: api.HealthPassing, Output: fmt.Sprintf("master, term %d", term)}
	case reclaimsLock(k, id):
		return Entry{Role: Master, Status: api.HealthPassing,
			Output: fmt.Sprintf("master, term %d, without its lock", k.View.State.Term())}
	}
	return replicaEntry(k, id)
}

// reclaimsLock reports whether our Redis is the published master whose lock was lost, and we are the first to take it again.
// After a start we have to take it before that.
func reclaimsLock(k cluster.Snapshot, id string) bool {
	ours := k.View.Free() && k.HasLed || k.View.Holder == id
	return k.Health.Err == nil && ours && cluster.IsServingMaster(k, id)
}

// replicaEntry is the entry of a member that is not the master.
func replicaEntry(k cluster.Snapshot, id string) Entry {
	st := k.Health.Status
	_, follows := cluster.FollowedMaster(k, id)
	e := Entry{Role: Replica, Status: api.HealthWarning}
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
