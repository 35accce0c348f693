package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// dropped makes a master drop a replica that does not read soon.
var dropped = []string{"--client-output-buffer-limit", "replica", "1mb", "1mb", "0", "--repl-backlog-size", "1mb"}

// Of two replicas the stale one takes over, and its agent dies when it has found the fresher one: about to catch up from it,
// for the fresher one's agent is dead, or when that has been made a master for it, or having passed it the lock.
func TestWrite09_KilledWhenAnotherIsFresher(t *testing.T) {
	t.Parallel()
	const fresh, stale = 1, 2
	for _, h := range []heir{byAnother, byItself} {
		for _, step := range []string{"catch_up", "source_promoted"} {
			t.Run(fmt.Sprintf("%s, %s", step, h), func(t *testing.T) {
				t.Parallel()
				c := crashes(t, lab.Plan{Members: 3, StartParked: true, RedisArgs: dropped}, step, stale)
				k := c.k
				k.Redis[stale].Freeze()
				k.Agents[stale].Freeze()
				much := overflow(t, k.Redis[0])
				harm := harm{from: time.Now()}
				kill(k.Agents[fresh], k.Redis[0].Process)
				harm.to = time.Now()
				k.Redis[stale].Thaw()
				k.Agents[stale].Thaw()
				c.inherit(h)
				if h == byAnother {
					c.start(fresh)
				}
				c.led(0)
				c.linked()
				c.healed(harm)
				lab.Eventually(t, patience, func() error { return errors.Join(much.on(k.Redis[fresh]), much.on(k.Redis[stale])) })
			})
		}
		t.Run(fmt.Sprintf("lock_transferred, %s", h), func(t *testing.T) {
			t.Parallel()
			c := crashes(t, lab.Plan{Members: 3, StartParked: true, RedisArgs: dropped}, "lock_transferred", stale)
			k := c.k
			c.relieve(fresh, "HEALTHCHECK_INTERVAL=4s") // so that it is thought to live while it is frozen
			k.Redis[stale].Freeze()
			much := overflow(t, k.Redis[0])
			harm := harm{from: time.Now()}
			k.Redis[fresh].Freeze()
			k.Agents[fresh].Freeze()
			k.Redis[0].Kill()
			harm.to = time.Now()
			k.Redis[stale].Thaw()
			lab.Eventually(t, patience, func() error { // it does not wait for a member that does not answer
				if got := value(t, k.Consul, lockKey(k)); got != fmt.Sprint("m", stale) {
					return errors.New("the lock is not taken yet, but held by " + got)
				}
				return nil
			})
			k.Redis[fresh].Thaw()
			k.Agents[fresh].Thaw()
			c.inherit(h)
			c.led(0, stale)
			c.linked()
			c.healed(harm)
			lab.Eventually(t, patience, func() error { return errors.Join(much.on(k.Redis[fresh]), much.on(k.Redis[stale])) })
		})
	}
}
