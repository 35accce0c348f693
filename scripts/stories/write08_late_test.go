package stories_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master freezes when its guard is about to be lowered: a command that has timed out takes effect when it is thawed, and
// does no harm, whether its agent has given it up by then or not.
func TestWrite08_LateGuard(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		for _, patient := range []bool{false, true} {
			for seed := range uint64(2) {
				if (seed == 0) == patient && !*all {
					continue
				}
				t.Run(fmt.Sprint(n, " members, seed ", seed)+named(patient, ", the agent is patient"), func(t *testing.T) {
					t.Parallel()
					random := rand.New(rand.NewPCG(seed, 8))
					guard := n - 1 // each replica counts, so that it is lowered with the first that dies
					env := []string{fmt.Sprint("GUARD=", guard)}
					if patient {
						env = append(env, "HEALTHCHECK_FAILURES=20")
					}
					k := planned(t, lab.Plan{Members: n, StartParked: true, Env: env})
					m := started(t, k)
					lab.Eventually(t, patience, func() error { return guarded(k, m, guard) })
					neverBelow(t, k)
					for range 4 {
						m = late(t, k, m, guard, random)
					}
					ok(t, k.Stop())
				})
			}
		}
	}
}

// late kills a replica, and freezes the master some ms later; all recover in the end. It returns the index of the master then.
func late(t *testing.T, k *lab.Cluster, m, guard int, random *rand.Rand) (now int) {
	t.Helper()
	w := watched(t, k)
	one := others(k, m)[random.IntN(len(k.Redis)-1)]
	before := time.Duration(random.IntN(20_001)) * time.Microsecond
	frozen := 1500*time.Millisecond + time.Duration(random.IntN(1501))*time.Millisecond
	backFirst := random.IntN(2) == 0
	from := time.Now()
	k.Redis[one].Signal(syscall.SIGKILL)
	<-time.After(before)
	k.Redis[m].Freeze()
	atFreeze, err := countedOn(k)
	ok(t, err)
	k.Redis[one].Kill()
	if backFirst {
		ok(t, k.Redis[one].Restart())
	}
	<-time.After(time.Until(from.Add(frozen)))
	atThaw, err := countedOn(k) // less than at the freeze: then it is set in these moments
	ok(t, err)
	k.Redis[m].Thaw()
	thawed := time.Now()
	t.Logf("%s died, %s later %s froze for %s, with its guard published as %d, then as %d%s", k.Redis[one].Name, before, k.Redis[m].Name,
		frozen, atFreeze.Master.Guard, atThaw.Master.Guard, named(backFirst, "; the other was back by then"))
	if !backFirst {
		ok(t, k.Redis[one].Restart())
	}
	whole(t, k)
	lab.Eventually(t, patience, func() error {
		now, err := k.Master()
		return errors.Join(err, guarded(k, now, guard), unfenced(k))
	})
	v := w.Verdict(30 * time.Second)
	t.Log(v)
	now, err = k.Master()
	errs := errors.Join(err, v.Settled, v.NeverTwo(50*time.Millisecond), v.NeverTwoListed(0))
	if now == m { // it has all that it acknowledged
		errs = errors.Join(errs, v.NothingLost())
	} else { // a thawed one answers what waited in its sockets
		errs = errors.Join(errs, v.LostOnlyBetween(from.Add(-50*time.Millisecond), thawed.Add(lateness)))
	}
	ok(t, errs)
	return now
}
