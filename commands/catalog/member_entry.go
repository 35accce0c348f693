package catalog

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// maxMetaBytes is how long a value of a service's Meta may be, in bytes.
// Source: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference#meta
const maxMetaBytes = 512

// ShortMeta returns a text as it may be in a service's Meta.
func ShortMeta(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxMetaBytes)], "")
}

// EntryOf returns what the catalogue shows of the member with that id. term is the term in which its Redis is master; 0: it is
// not.
func EntryOf(k cluster.Snapshot, term uint64, id string) Entry {
	if k.Paused && !servesAsPublished(k) {
		term = 0 // what the pause has kept of the term is the lock
	}
	e := roleEntry(k, term, id)
	why := ""
	if e.Output == k.Reason { // Consul's servers learn of a change of a check's output alone minutes later
		why = k.Reason
	}
	if refused := k.Refused.String(); refused != "" && !strings.Contains(e.Output, refused) {
		e.Output += "; redis refuses commands that resec needs: " + refused
		why = cmp.Or(why, "redis refuses commands that resec needs: "+refused)
	}
	if k.Health.AccessErr != nil {
		e.Output += "; redis denies access to resec"
	}
	if k.Health.LocalErr != nil && k.Health.Err == nil {
		e.Output += "; " + redis.Summary(k.Health.LocalErr)
	}
	if note := wrongAddressNote(k, id); note != "" {
		e.Output, why = e.Output+"; "+note, strings.TrimPrefix(why+"; "+note, "; ")
	}
	e.Node, e.Host = k.Place.Node, k.Place.KeptHost
	published := k.View.State.Term()
	if e.Role == Master && term != 0 {
		published = term
	}
	e.Meta = map[string]string{"id": id, "term": fmt.Sprint(published), "version": k.Health.Status.Version}
	if why != "" {
		e.Meta["why"] = ShortMeta(why)
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
		return masterEntry(k, fmt.Sprintf("master, term %d", term))
	case reclaimsLock(k, id):
		return masterEntry(k, fmt.Sprintf("master, term %d, without its lock", k.View.State.Term()))
	}
	return replicaEntry(k, id)
}

// masterEntry is the entry of a master that is not fenced. One that refuses writes is no master for clients.
func masterEntry(k cluster.Snapshot, text string) Entry {
	if why := cmp.Or(k.Health.Status.Refusing(), k.OperatorMinReplicasReason()); why != "" {
		return Entry{Role: Master, Status: api.HealthWarning, Output: text + ": it refuses writes: " + why}
	}
	if why := k.Health.Status.RefusingClients(); why != "" {
		text += "; " + why
	}
	return Entry{Role: Master, Status: api.HealthPassing, Output: text}
}

// reclaimsLock reports whether our Redis is the published master whose lock was lost, and we are the first to take it again.
// After a start we have to take it before that.
func reclaimsLock(k cluster.Snapshot, id string) bool {
	ours := cluster.MayReclaim(k, id) || k.View.Holder == id && cluster.IsServingMaster(k, id)
	return k.Health.Err == nil && ours
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
	case k.StreamErrors.Count > 0:
		e.Output = cluster.StreamErrorsReason(k.StreamErrors.Count)
	default:
		e.Status, e.Output = api.HealthPassing, "replica of "+st.MasterAddr
		if why := st.Refusing(); why != "" {
			e.Output += "; as a master it would refuse writes: " + why
		}
	}
	return e
}
