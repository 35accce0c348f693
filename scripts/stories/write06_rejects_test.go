package stories_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

// A replica's network rejects each new connection, its master's session is destroyed, and the master's agent hangs for a moment:
// that all refuse it does not make the replica think that they are dead.
func TestWrite06_NetworkThatRejects(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Network: true, Servers: 1, Clients: true, Env: []string{"EARLY_TAKEOVER=false"}})
	m := started(t, k)
	other := others(k, m)[0]
	w := watched(t, k)
	ok(t, k.Net.Isolate(k.Hosts[other], lab.Refuse, k.Here))
	p, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
	ok(t, err)
	for _, i := range others(k, m) { // and no other is faster
		if i != other {
			k.Agents[i].Freeze()
			defer k.Agents[i].Thaw()
		}
	}
	k.Agents[m].Freeze()
	_, err = k.Consul.Client.Session().Destroy(p.Session, nil)
	ok(t, err)
	throughout(t, time.Second, neverTwo(w))
	for _, a := range k.Agents {
		a.Thaw()
	}
	throughout(t, 3*time.Second, neverTwo(w))
	ok(t, k.Heal(k.Hosts[other]))
	v, now := judged(t, k, w)
	if err := errors.Join(v.NothingLost(), v.NeverTwo(0)); err != nil || now != m {
		t.Errorf("%s leads: %v", k.Redis[now].Name, err)
	}
	ok(t, k.Stop())
}
