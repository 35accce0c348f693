package status

// note says why a member or the cluster is not healthy: in words for people, and with a code for programs, which stays the same.
// The zero value: it is healthy.
type note struct{ code, text string }

// The codes of a member's note.
const (
	noAnswer       = "no_answer"         // its Redis did not answer, denied access, or another Redis answered in its place
	sameID         = "same_id"           // another live agent has its MEMBER_ID
	agentWaits     = "agent_waits"       // its agent gives a reason not to follow or to lead
	mayNotFollow   = "may_not_follow"    // it must not replicate from the master
	mayNotLead     = "may_not_lead"      // there is no master, and it is not eligible
	fencedCode     = "fenced"            // its Redis refuses writes because of a fence
	tooFewReplicas = "too_few_replicas"  // a master that refuses writes because of min-replicas-to-write
	notPublished   = "not_published"     // a master, but not the published one
	streamErrors   = "stream_errors"     // it answered its master's stream with errors
	refusesWrites  = "refuses_writes"    // a master that refuses writes for another reason
	wouldRefuse    = "would_refuse"      // as a master it would refuse writes
	refusesClients = "refuses_clients"   // maxclients is reached
	loadingCode    = "loading"           // it loads its data
	syncingCode    = "syncing"           // a full sync is under way
	otherMaster    = "other_master"      // it replicates from another server than the published master
	linkDown       = "link_down"         // the link to its master is down
	parkedCode     = "parked"            // it waits for a master
	hiddenCode     = "hidden"            // another check than resec's keeps clients from finding it
	notInCatalog   = "not_in_catalog"    // it is not in the catalogue
	checkLate      = "check_late"        // it streams, and its check is not passing yet
	checkFails     = "check_not_passing" // its check is not passing
	notInSync      = "not_in_sync"       // it is not recorded as in sync with the master
	wrongAddress   = "wrong_address"     // its announced address leads to another Redis
	restartedOften = "restarted_often"   // its Redis was restarted often lately
	gone           = "gone"              // only its member key is left
)

// The codes of the cluster. Those of its members are beside them.
const (
	lockFree       = "lock_free"        // no agent holds the lock
	lockElsewhere  = "lock_elsewhere"   // another member than the published master holds it
	stateUnread    = "state_unreadable" // the state cannot be used
	noMasterYet    = "no_master_yet"    // no master was published yet under this lock key
	masterNoAnswer = "master_no_answer" // the published master is down, unreachable, restarted or a replica
)

// ReasonCodes are all codes, those of members first.
var ReasonCodes = []string{
	noAnswer, sameID, agentWaits, mayNotFollow, mayNotLead, fencedCode,
	tooFewReplicas, notPublished, streamErrors, refusesWrites, wouldRefuse, refusesClients,
	loadingCode, syncingCode, otherMaster, linkDown, parkedCode, hiddenCode,
	notInCatalog, checkLate, checkFails, notInSync, wrongAddress, restartedOften,
	gone, lockFree, lockElsewhere, stateUnread, noMasterYet, masterNoAnswer,
}

// first returns the first note that says something.
func first(notes ...note) note {
	for _, n := range notes {
		if n.text != "" {
			return n
		}
	}
	return note{}
}

// noted is a note with a text; the zero value if the text is empty.
func noted(code, text string) note {
	if text == "" {
		return note{}
	}
	return note{code, text}
}
