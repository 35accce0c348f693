package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Another program writes an entry of ours to Consul's servers, or removes it there. It is right again within an interval, and one
// line says so.
func TestLife05_EntryOverwritten(t *testing.T) {
	t.Parallel()
	const interval = time.Second // lab.Quick
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1})
	m := started(t, k)
	r := others(k, m)[0]
	for i, v := range []struct {
		name  string
		of    int
		write func(t *testing.T, i int) error
		says  string
	}{
		{"the master as a replica", m, func(t *testing.T, i int) error { return rewrite(k, i, "slave", "-slave") }, "instead of"},
		{"a replica as a master", r, func(t *testing.T, i int) error { return rewrite(k, i, "master", "-master") }, "instead of"},
		{"the master under a foreign name", m, func(t *testing.T, i int) error { return rewrite(k, i, "x", "-x") }, "instead of"},
		{"the master removed", m, func(t *testing.T, i int) error { return removed(k, i) }, "is missing"},
		{"the replica removed", r, func(t *testing.T, i int) error { return removed(k, i) }, "is missing"},
	} {
		before := strings.Count(k.Agents[v.of].Output(), "event=entry_corrected")
		from := time.Now()
		if err := v.write(t, v.of); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		lab.Eventually(t, patience, func() error { return k.Settled(0) })
		took := time.Since(from)
		if t.Logf("%s: right again after %s", v.name, took); took > 2*interval {
			t.Error("that is too late")
		}
		lab.Eventually(t, patience, func() error {
			n := strings.Count(k.Agents[v.of].Output(), "event=entry_corrected")
			if n == before && took < interval/2 {
				return nil // Consul's agent was first: when a check changes it writes anew what its servers have no more
			}
			if n != before+1 {
				return fmt.Errorf("%d: %s: it was corrected %d times", i, v.name, n-before)
			}
			return k.Agents[v.of].Said(v.says)
		})
	}
	leads(t, k, m)
	ok(t, errors.Join(unfenced(k), k.Stop()))
}

// Another program sets the master's check critical at its Consul agent, which ends the master's session. Another member leads, or
// the same one again, and the master's agent says what has happened.
func TestLife05_CheckSetByAnother(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1})
	m := started(t, k)
	e, err := k.Entry(m)
	ok(t, err)
	// Again each second, because the agent does not look for half a second after another check of the node has changed.
	next := time.Now()
	lab.Eventually(t, patience, func() error {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(time.Second)
			ok(t, k.Consul.Client.Agent().UpdateTTL("service:"+e.Service.ID, "closed by hand", "critical"))
		}
		return errors.Join(k.Agents[m].Said("event=check_set_by_other"), k.Agents[m].Said(`output="closed by hand"`))
	})
	lab.Eventually(t, patience, func() error { return errors.Join(k.Settled(0), unfenced(k)) })
	ok(t, k.Stop())
}

// rewrite registers the entry of the i-th Redis with the servers under another name.
func rewrite(k *lab.Cluster, i int, word, suffix string) error {
	e, err := k.Entry(i)
	if err != nil {
		return err
	}
	e.Service.Service = k.Name + suffix
	e.Service.Meta = map[string]string{"by": word}
	return k.Relist(e)
}

// removed removes the entry of the i-th Redis from the servers.
func removed(k *lab.Cluster, i int) error {
	e, err := k.Entry(i)
	if err != nil {
		return err
	}
	return k.Unlist(e)
}
