package catalog

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// What a replica says of itself may wait, but neither that it is passing or critical, nor a change of its role, nor its check's update.
func TestCalm(t *testing.T) {
	const pass, warn, crit = api.HealthPassing, api.HealthWarning, api.HealthCritical
	of := func(r Role, status, output string) Entry { return Entry{Role: r, Status: status, Output: output} }
	for name, v := range map[string]struct {
		have, want Entry
		since      time.Duration // what is listed is old
		kept       time.Duration // since the check's last update
		waits      bool
	}{
		"its master is gone":             {of(Replica, pass, "a"), of(Replica, warn, "b"), 0, time.Second, true},
		"it says something else":         {of(Replica, crit, "a"), of(Replica, crit, "b"), 0, time.Second, true},
		"nothing is new":                 {of(Replica, pass, "a"), of(Replica, pass, "a"), 0, time.Second, false},
		"it has waited":                  {of(Replica, pass, "a"), of(Replica, warn, "b"), replicaUpdateDelay, time.Second, false},
		"the check is due":               {of(Replica, pass, "a"), of(Replica, warn, "b"), 0, 5 * time.Second, false},
		"it is linked again":             {of(Replica, warn, "a"), of(Replica, pass, "b"), 0, time.Second, false},
		"it is dead":                     {of(Replica, pass, "a"), of(Replica, crit, "b"), 0, time.Second, false},
		"it is back, and waits":          {of(Replica, crit, "a"), of(Replica, warn, "b"), 0, time.Second, false},
		"it is the master":               {of(Replica, warn, "a"), of(Master, pass, "b"), 0, time.Second, false},
		"it is the master no longer":     {of(Master, pass, "a"), of(Replica, warn, "b"), 0, time.Second, false},
		"the master refuses writes":      {of(Master, pass, "a"), of(Master, warn, "b"), 0, time.Second, false},
		"the master says something else": {of(Master, pass, "a"), of(Master, pass, "b"), 0, time.Second, false},
	} {
		r := &Registrar{Interval: 10 * time.Second, lastUpdate: time.Now().Add(-v.kept)}
		if v.since > 0 {
			r.staleSince = time.Now().Add(-v.since)
		}
		if d := r.holdBack(&v.have, v.want); d > 0 != v.waits || d > replicaUpdateDelay {
			t.Errorf("%s: it waits for %s", name, d)
		}
	}
	if d := new(Registrar).holdBack(nil, of(Replica, warn, "a")); d != 0 {
		t.Errorf("what is not listed waits for %s", d)
	}
}
