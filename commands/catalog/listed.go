package catalog

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// compareSettle is how long an entry must have been published unchanged before it is compared. A Consul agent passes a change
	// on to its servers within some milliseconds.
	compareSettle = 500 * time.Millisecond
	// compareAgain is the pause before a difference is looked at once more. A change may be under way from the Consul agent.
	compareAgain = 100 * time.Millisecond
	// hiddenAfter is after how many corrections of a missing entry, which is there after all, it counts as hidden by an ACL.
	hiddenAfter = 3
	// correctionLogged is how often a correction is logged if something else writes the entry again and again.
	correctionLogged = 5 * time.Minute
)

// listing is an instance and its check as Consul's servers have them.
type listing struct {
	service      *api.AgentService // nil: they have none
	check        *api.HealthCheck  // nil: they have none
	serviceIndex uint64            // ModifyIndex; 0: there is none
	checkIndex   uint64
}

// missing is the difference if nothing is listed.
const missing = "the service is missing"

// difference returns what is different in the servers' listing from the instance as it is registered. Empty: nothing is.
//
// The check's output is not compared. A Consul agent passes on a change of the output alone only minutes later.
func (n Naming) difference(l listing, e Entry, host string, port int) string {
	if diff := n.serviceDifference(l.service, e, host, port); diff != "" {
		return diff
	}
	switch {
	case l.check == nil:
		return "the check is missing"
	case l.check.Status != e.Status:
		return fmt.Sprintf("the check is %s instead of %s", l.check.Status, e.Status)
	}
	return ""
}

// serviceDifference is difference without the check.
func (n Naming) serviceDifference(s *api.AgentService, e Entry, host string, port int) string {
	switch {
	case s == nil:
		return missing
	case s.Service != n.Name(e.Role):
		return fmt.Sprintf("the service is %s instead of %s", s.Service, n.Name(e.Role))
	case !sameTags(s.Tags, n.Tags(e.Role)):
		return fmt.Sprintf("the tags are %v instead of %v", s.Tags, n.Tags(e.Role))
	case s.Address != host || s.Port != port:
		return fmt.Sprintf("the address is %s:%d instead of %s:%d", s.Address, s.Port, host, port)
	case !maps.Equal(s.Meta, e.Meta):
		return fmt.Sprintf("the metadata are %v instead of %v", s.Meta, e.Meta)
	}
	return ""
}

// sameTags compares tags; no tags may be nil or empty.
func sameTags(a, b []string) bool { return len(a) == 0 && len(b) == 0 || slices.Equal(a, b) }

// comparison is what one goroutine remembers of its comparisons: with Consul's servers, or with the Consul agent.
type comparison struct {
	logged   string    // what was logged last
	loggedAt time.Time // zero: nothing was logged
	stale    int       // corrections in a row that found another entry than the one that was read
}

// worthALine reports whether a text is to be logged: it is another one, or the last one was logged long ago.
func (c *comparison) worthALine(text string, now time.Time) bool {
	if text == c.logged && now.Sub(c.loggedAt) < correctionLogged {
		return false
	}
	c.logged, c.loggedAt = text, now
	return true
}
