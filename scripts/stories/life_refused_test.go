package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// A replica's Redis refuses a command that a takeover needs. Its agent says so at once, in log, check and status. When the master
// dies another member leads, and this one never tries. Once the command is allowed it is a member as before.
func TestLife21_RefusedCommand(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
	barred := (m + 1) % 3
	do(t, k.Redis[barred], "ACL", "SETUSER", "default", "-replicaof", "-slaveof")
	const words = "its ACL denies REPLICAOF to resec's user"
	lab.Eventually(t, patience, func() error {
		_, output, err := check(k, barred)
		if err == nil && !strings.Contains(output, words) {
			err = fmt.Errorf("the check says %q", output)
		}
		return errors.Join(err, k.Agents[barred].Said("event=commands_refused"))
	})
	if out, stderr, code, err := k.Run(m, "", "status"); err != nil || code != 1 || !strings.Contains(out, words) {
		t.Errorf("resec status: exit %d, %v\n%s%s", code, err, out, stderr)
	}
	k.Redis[m].Kill()
	next := (m + 2) % 3
	published(t, k, next)
	lab.Eventually(t, patience, func() error {
		_, err := k.Redis[next].Do("SET", "written", "1")
		return err
	})
	if n := strings.Count(k.Agents[barred].Output(), "event=elected"); n > 0 {
		t.Errorf("the member whose redis refuses a command was elected %d times", n)
	}
	if n := strings.Count(k.Agents[barred].Output(), "event=commands_refused"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	do(t, k.Redis[barred], "ACL", "SETUSER", "default", "+replicaof")
	ok(t, k.Redis[m].Start())
	whole(t, k, stored)
	lab.Eventually(t, patience, func() error { return k.Agents[barred].Said("event=commands_allowed") })
	ok(t, k.Stop())
}

// The master's Redis denies CLIENT PAUSE, and its agent dies. Another member takes over all the same: it fences that master instead
// of holding its writes back. The lock does not change hands again and again.
func TestLife21_MasterDeniesPause(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
	do(t, k.Redis[m], "ACL", "SETUSER", "default", "-client|pause")
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=commands_refused") })
	k.Agents[m].Kill()
	next := succeededBy(t, k, m)
	ok(t, k.Agents[next].Said("event=pause_refused"))
	for _, i := range others(k, m) {
		if n := says(k.Agents[i], "event=promotion_failed"); n > 0 {
			t.Errorf("%s has failed to take over %d times", k.Agents[i].Name, n)
		}
	}
	do(t, k.Redis[m], "ACL", "SETUSER", "default", "+client|pause")
	ok(t, k.Agent(m))
	whole(t, k, stored)
	ok(t, k.Stop())
}

// The master's Redis denies a command that parks it, or that fences it, and its agent dies. Another member leads all the same: what
// is denied is not needed if the other command is taken. The old master accepts no more writes.
func TestLife21_MasterDeniesParkOrFence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ denied, event string }{{"-replicaof", "park_refused"}, {"-config|set", "fence_refused"}} {
		t.Run(tt.denied, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true})
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			w := watched(t, k)
			do(t, k.Redis[m], "ACL", "SETUSER", "default", tt.denied)
			lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=commands_refused") })
			k.Agents[m].Kill()
			succeeded(t, k, w, m)
			if a, b := others(k, m)[0], others(k, m)[1]; says(k.Agents[a], "event="+tt.event)+says(k.Agents[b], "event="+tt.event) == 0 {
				t.Errorf("no event=%s", tt.event)
			}
			if _, err := k.Redis[m].Do("SET", "late", "1"); err == nil {
				t.Error("the old master accepts a write")
			}
			do(t, k.Redis[m], "ACL", "SETUSER", "default", "+"+tt.denied[1:])
			ok(t, k.Agent(m))
			whole(t, k, stored)
			v, _ := judged(t, k, w)
			ok(t, errors.Join(v.NothingLost(), v.NeverTwo(0), k.Stop()))
		})
	}
}

// A Redis that does not know REPLICAOF, alone: its agent takes no lock over it, and leaves it unfenced.
func TestLife21_RenamedCommand(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, StartParked: true, RedisArgs: []string{"--rename-command", "REPLICAOF", ""}})
	ok(t, k.Agent(0))
	saysWhy(t, k, 0, "it does not know REPLICAOF (rename-command)")
	if strings.Contains(k.Agents[0].Output(), "event=elected") {
		t.Error("it was elected")
	}
	if fence := do(t, k.Redis[0], "CONFIG", "GET", "min-replicas-to-write"); !strings.Contains(fence, "0") ||
		strings.Contains(fence, "214748") {
		t.Errorf("it is fenced: %s", fence)
	}
	ok(t, k.Stop())
}
