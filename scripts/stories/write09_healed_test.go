package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"resec/scripts/lab"
)

// led waits until there is a published master that accepts writes, none of those given.
func (c *crash) led(but ...int) {
	c.t.Helper()
	lab.Eventually(c.t, patience, func() error {
		s, err := stateOf(c.k)
		if err != nil {
			return err
		}
		m := slices.IndexFunc(c.k.Redis, func(r *lab.Redis) bool { return r.Addr == s.Master.Address })
		if m < 0 || slices.Contains(but, m) {
			return fmt.Errorf("the published master is %s", s.Master.ID)
		}
		_, err = c.k.Redis[m].Do("DEL", "nothing")
		return err
	})
}

// linked waits until every running Redis replicates from the one master, those too whose agents are dead.
func (c *crash) linked() {
	c.t.Helper()
	lab.Eventually(c.t, patience, func() error {
		_, err := c.k.Linked()
		return err
	})
}

// harm is what may excuse a loss, or two masters.
type harm struct {
	from, to time.Time // in which the master's Redis was killed or frozen; zero: it was not
	frozen   bool
}

// excuses returns what no such harm excuses.
func (h harm) excuses(v lab.Verdict) error {
	lost, two := v.NothingLost(), time.Duration(0)
	if !h.from.IsZero() {
		lost = v.LostOnlyBetween(h.from.Add(-50*time.Millisecond), h.to.Add(lateness))
	}
	if h.frozen {
		two = 50 * time.Millisecond
	}
	return errors.Join(v.Settled, lost, v.NeverTwo(two), v.NeverTwoListed(telling))
}

// revive starts whatever does not run, and waits until the cluster is whole.
func (c *crash) revive() {
	c.t.Helper()
	for i, r := range c.k.Redis {
		if !r.Running() {
			ok(c.t, r.Restart())
		}
		if a := c.k.Agents[i]; a == nil || !a.Running() {
			c.start(i)
		}
	}
	for i := range c.since {
		c.back(i)
	}
	whole(c.t, c.k)
}

// healed demands that the cluster becomes whole by itself, that nothing is left of what was done by who was killed, and that
// each Redis is as its operator had it once all agents have left.
func (c *crash) healed(h harm) {
	c.t.Helper()
	fig := figures(c.t)
	c.revive()
	v := c.w.Verdict(30 * time.Second)
	c.t.Log(v)
	if err := h.excuses(v); err != nil {
		c.t.Error(err)
	}
	m, err := c.k.Master()
	ok(c.t, err)
	lab.Eventually(c.t, patience, func() error { return spotless(c.k, m) })
	began := time.Now()
	do(c.t, c.k.Redis[m], "SET", "unpaused", "1")
	received(c.t, c.k.Redis[m], len(c.k.Redis)-1)
	fig.within("write and its replication", time.Since(began), 200*time.Millisecond)
	ok(c.t, c.k.Stop())
	ok(c.t, spotless(c.k, nobody))
}

// spotless returns nil if no Redis has a fence, or other min-replicas settings than its operator's; but the m-th has the
// guard that is published.
func spotless(k *lab.Cluster, m int) error {
	var errs []error
	for i, r := range k.Redis {
		if i == m {
			errs = append(errs, guarded(k, i, guardOf(k)))
			continue
		}
		replicas, lag, err := minReplicas(r)
		if err == nil && (replicas != 0 || lag != 10) {
			err = fmt.Errorf("%s has min-replicas-to-write %d and min-replicas-max-lag %d, not its own 0 and 10", r.Name, replicas, lag)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
