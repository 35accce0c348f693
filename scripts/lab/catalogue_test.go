package lab_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/scripts/lab"
)

func TestCatalogue(t *testing.T) {
	t.Parallel()
	consul, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	agent := consul.Client.Agent()
	register := func(id, status string) {
		ok(t, agent.ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: "x-master", Port: 1,
			Check: &api.AgentServiceCheck{TTL: "1h", Status: status}}))
	}
	register("a", "passing")
	c := lab.StartCatalogue(t.Context(), "x-master", consul)
	lab.Eventually(t, 5*time.Second, c.Listed)
	register("b", "warning")
	ok(t, agent.UpdateTTL("service:a", "", "passing"))
	if n := len(c.Two()) + len(c.None()); n != 0 {
		t.Errorf("one passing master was seen as %v %v", c.Two(), c.None())
	}

	two := time.Now()
	ok(t, agent.UpdateTTL("service:b", "", "passing"))
	lab.Eventually(t, 5*time.Second, func() error { return seen(c.Two(), 300*time.Millisecond) })
	ok(t, agent.ServiceDeregister("a"))
	one := time.Now()
	lab.Eventually(t, 5*time.Second, c.Listed)
	if s := c.Two(); len(s) != 1 || s[0].From.Before(two) || s[0].To.After(one.Add(200*time.Millisecond)) {
		t.Errorf("two from %s to %s were seen as %v", two, one, s)
	}

	none := time.Now()
	ok(t, agent.UpdateTTL("service:b", "", "critical"))
	lab.Eventually(t, 5*time.Second, func() error { return seen(c.None(), 300*time.Millisecond) })
	consul.Kill()
	ok(t, consul.Restart())
	ok(t, agent.UpdateTTL("service:b", "", "passing"))
	lab.Eventually(t, 10*time.Second, c.Listed)
	c.Stop()
	if s := c.None(); len(s) != 1 || s[0].From.Before(none) || len(c.Two()) != 1 {
		t.Errorf("none from %s was seen as %v, two as %v", none, s, c.Two())
	}
}

// seen returns nil once there is one interval of at least that length.
func seen(all []lab.Interval, d time.Duration) error {
	if len(all) != 1 || all[0].Lasted() < d {
		return fmt.Errorf("seen: %v", all)
	}
	return nil
}
