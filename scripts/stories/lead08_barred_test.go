package stories_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The one that has everything may not lead, for its priority is 0, and the other was restarted: what it has now is not known.
// Both log why, and there is no master until an operator changes the priority.
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
			kill(k.Redis[m].Process, k.Redis[restarted].Process)
			ok(t, k.Redis[restarted].Start())
			saysWhy(t, k, restarted, "was restarted since")
			saysWhy(t, k, able, "replica-priority is 0")
			nobody := func() error {
				return errors.Join(k.Redis[able].Is("role", "slave"), k.Redis[restarted].Is("role", "slave"))
			}
			throughout(t, 8*time.Second, nobody)
			if out, _, code, err := k.Run(able, "", "status"); err != nil || code != 2 {
				t.Errorf("resec status ended with %d: %v\n%s", code, err, out)
			}
			do(t, k.Redis[able], "CONFIG", "SET", "replica-priority", "100")
			lab.Eventually(t, patience, func() error { return k.Redis[restarted].Follows(k.Redis[able]) })
			ok(t, k.Redis[m].Start())
			whole(t, k, stored)
			leads(t, k, able)
			ok(t, k.Stop())
		})
	}
}
