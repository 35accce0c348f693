package stories_test

import (
	"testing"
	"time"

	"resec/scripts/lab"
)

// The one that has everything may not lead, for its priority is 0, and the other was restarted with older data. It catches up from the
// one that has everything, and leads, although the old master is missing.
func TestLead08_OneWasRestartedTheOtherMayNotLead(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		t.Run("the rest has"+named(!parked, " come up plain")+named(parked, " come up parked"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: parked, Persist: lab.AOF})
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
			able, restarted := (m+1)%3, (m+2)%3
			keep(t, stored.n, k.Redis[able])
			do(t, k.Redis[able], "CONFIG", "SET", "replica-priority", "0")
			// Its agent learns of it with its next look, an interval away.
			throughout(t, 2*time.Second, func() error { return sameRoles(k, m) })
			k.Redis[restarted].Kill()
			later := wrote(t, k, m, keys{prefix: "later", n: 500})
			k.Redis[m].Kill()
			saysWhy(t, k, able, "replica-priority is 0")
			ok(t, k.Redis[restarted].Start())
			lab.Eventually(t, patience, func() error { return k.Redis[able].Follows(k.Redis[restarted]) })
			ok(t, k.Redis[m].Start())
			whole(t, k, stored, later)
			leads(t, k, restarted)
			ok(t, k.Stop())
		})
	}
}
