package stories_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master's agent is cut off from Consul, and then stopped. It does not stay for a handover that cannot be: Nomad
// kills after 5 s. Its Redis keeps its guard until its agent is back.
func TestWrite02_CutOffAgentLeaves(t *testing.T) {
	t.Parallel()
	for i, n := range []int{1, 2, 3} {
		for j, cut := range cuts {
			if !turn(i, j) {
				continue
			}
			t.Run(fmt.Sprintf("n=%d/%s", n, cut.name), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1})
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				ok(t, k.Net.Cut(k.Hosts[m], k.Servers[0].Net, cut.how))
				told := time.Now()
				if code, err := k.Agents[m].Stop(syscall.SIGTERM); err != nil || code != 0 {
					t.Errorf("it left with %d: %v", code, err)
				}
				fig.within("left after", time.Since(told), 4500*time.Millisecond)
				throughout(t, 10*time.Second, neverTwo(w))
				ok(t, k.Heal(k.Hosts[m]))
				ok(t, k.Agent(m))
				v, _ := judged(t, k, w)
				for _, err := range []error{v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(time.Second), unfenced(k), k.Stop()} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// Consul freezes at any moment of a handover: the agent exits before Nomad kills it, 5 s later.
func TestWrite02_ConsulFreezesAsItLeaves(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{5, 20, 50, 100} {
		t.Run(fmt.Sprint(after, " ms"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			told := time.Now()
			frozen := make(chan struct{})
			time.AfterFunc(after*time.Millisecond, func() { k.Consul.Freeze(); close(frozen) })
			if code, err := k.Agents[m].Stop(syscall.SIGTERM); err != nil || code != 0 {
				t.Errorf("it left with %d: %v", code, err)
			}
			fig.within("left after", time.Since(told), 5*time.Second)
			<-frozen
			throughout(t, 5*time.Second, neverTwo(w))
			k.Consul.Thaw()
			ok(t, k.Agent(m))
			v, _ := judged(t, k, w)
			for _, err := range []error{v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(time.Second), unfenced(k), k.Stop()} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}
