package lab_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/scripts/lab"
)

// watched is a cluster of two with all that looks at it.
func watched(t *testing.T) (k *lab.Cluster, w *lab.Watch, m int) {
	t.Helper()
	k = planned(t, lab.Plan{Members: 2, Consul: shared(t), Env: []string{"GUARD=off"}})
	m, err := k.Master()
	ok(t, err)
	w, err = k.Watch(t.Context())
	ok(t, err)
	n := w.Writer.Acked()
	lab.Eventually(t, 5*time.Second, func() error { return w.Writer.Wrote(n + 50) })
	return k, w, m
}

func TestWatch_NothingIsDone(t *testing.T) {
	t.Parallel()
	k, w, _ := watched(t)
	v := w.Verdict(10 * time.Second)
	if err := errors.Join(v.Sound(), v.OutageWithin(time.Second), v.NoResync()); err != nil || v.Acked < 50 || len(v.Missing) != 1 {
		t.Errorf("%v: %s", err, v)
	}
	t.Log(v)
	ok(t, w.Erase())
	ok(t, k.Stop())
}

// Each violation that a Watch looks for is provoked, and it must report it.
func TestWatch_Tells(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm   func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int)
		verify func(v lab.Verdict) error // must fail
		says   string
	}{
		"a write is lost": {
			harm:   func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) { do(t, k.Redis[m], "FLUSHALL") },
			verify: lab.Verdict.NothingLost, says: "writes are missing",
		},
		"a write is lost on the replica": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				do(t, k.Redis[1-m], "CONFIG", "SET", "replica-read-only", "no")
				do(t, k.Redis[1-m], "FLUSHALL")
			},
			verify: lab.Verdict.NothingLost, says: "writes are missing",
		},
		"two accept": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				k.Agents[1-m].Freeze()
				began := time.Now()
				do(t, k.Redis[1-m], "REPLICAOF", "NO", "ONE")
				lab.Eventually(t, 5*time.Second, func() error { return accepts(w.Prober, k.Redis[1-m], began.Add(50*time.Millisecond)) })
				lab.Eventually(t, 5*time.Second, func() error { return accepts(w.Prober, k.Redis[m], began.Add(100*time.Millisecond)) })
				k.Agents[1-m].Thaw()
			},
			verify: func(v lab.Verdict) error { return v.NeverTwo(10 * time.Millisecond) }, says: "two accepted writes",
		},
		"two are listed": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				a := k.Consul.Client.Agent()
				ok(t, a.ServiceRegister(&api.AgentServiceRegistration{ID: k.Name + "-false", Name: k.Name + "-master", Port: 1}))
				lab.Eventually(t, 5*time.Second, func() error { return seen(w.Catalogue.Two(), 100*time.Millisecond) })
				ok(t, a.ServiceDeregister(k.Name+"-false"))
			},
			verify: func(v lab.Verdict) error { return v.NeverTwoListed(50 * time.Millisecond) }, says: "two passing masters",
		},
		"a full resync": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				ok(t, k.Redis[1-m].RestartEmpty())
			},
			verify: lab.Verdict.NoResync, says: "1 full resyncs",
		},
		"an outage": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				do(t, k.Redis[m], "CLIENT", "PAUSE", "500", "WRITE")
			},
			verify: func(v lab.Verdict) error { return v.OutageWithin(300 * time.Millisecond) }, says: "no write was acknowledged for",
		},
		"not settled": {
			harm: func(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) {
				k.Agents[1-m].Kill()
				do(t, k.Redis[1-m], "REPLICAOF", "127.0.0.1", "1")
			},
			verify: lab.Verdict.Sound, says: "still so after",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, w, m := watched(t)
			c.harm(t, k, w, m)
			v := w.Verdict(5 * time.Second)
			if err := c.verify(v); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the verdict is %v: %s", err, v)
			}
			t.Log(fmt.Sprint(v))
		})
	}
}
