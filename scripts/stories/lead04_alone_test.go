package stories_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"resec/scripts/lab"
)

// After a cold start one member is alone for longer than the record binds: it lacks what the others have, and must not
// lead them when they come.
func TestLead04_OneComesFirstAndAlone(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name        string
		master      bool // it was the last master
		wiped, left bool // its disk is new; it was killed before the last master was elected
		says        string
	}{
		{name: "a replica with a new disk", wiped: true, says: "it is empty"},
		{name: "the master with a new disk", master: true, wiped: true, says: "it is empty"},
		{name: "an earlier master", left: true, says: "was not in sync with the last master"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Persist: lab.AOF})
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
			first := m
			switch {
			case v.left:
				kill(k.Redis[m].Process, k.Agents[m])
				lab.Eventually(t, patience, func() (err error) { m, err = k.Linked(); return errors.Join(err, k.Recorded()) })
			case !v.master:
				first = others(k, m)[0]
			}
			more := wrote(t, k, m, keys{prefix: "more", n: 1000})
			aof.synced(t, k.Redis[m])
			for i := range k.Redis {
				if k.Redis[i].Running() {
					kill(k.Redis[i].Process, k.Agents[i])
				}
			}
			if v.wiped {
				ok(t, errors.Join(os.RemoveAll(k.Redis[first].Dir), os.MkdirAll(k.Redis[first].Dir, 0o755)))
			}
			ok(t, k.Redis[first].Restart())
			ok(t, k.Agent(first))
			throughout(t, 15*time.Second, func() error { return k.Redis[first].Is("role", "slave") })
			saysWhy(t, k, first, v.says)
			for _, i := range others(k, first) {
				ok(t, k.Redis[i].Restart())
				keep(t, stored.n, k.Redis[i])
				ok(t, k.Agent(i))
			}
			whole(t, k, stored, more)
			ok(t, k.Stop())
		})
	}
}

// An unrelated Redis answers at a member's address. It is neither parked nor followed.
func TestLead04_AnAddressIsUsedAgain(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, Persist: lab.RDB})
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
	stranger := others(k, m)[0]
	rdb.synced(t, k.Redis...)
	for i := range k.Redis {
		kill(k.Redis[i].Process, k.Agents[i])
	}
	ok(t, errors.Join(os.RemoveAll(k.Redis[stranger].Dir), os.MkdirAll(k.Redis[stranger].Dir, 0o755)))
	ok(t, k.Redis[stranger].Restart())
	theirs := keys{prefix: "theirs", n: 10_000}
	ok(t, theirs.write(k.Redis[stranger]))
	for _, i := range others(k, stranger) {
		ok(t, k.Redis[i].Restart())
		ok(t, k.Agent(i))
	}
	untouched := func() error { return k.Redis[stranger].Is("role", "master", "connected_slaves", "0") }
	lab.Eventually(t, patience, func() error {
		ok(t, untouched())
		return k.Redis[others(k, stranger, m)[0]].Follows(k.Redis[m])
	})
	throughout(t, 3*time.Second, untouched)
	ok(t, errors.Join(theirs.on(k.Redis[stranger]), stored.on(k.Redis[m])))
	ok(t, k.Stop())
}
