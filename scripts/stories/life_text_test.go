package stories_test

import (
	"fmt"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// A slash at the end of Consul's address changes nothing. Of a name that Consul's DNS does not find, and of a time that is shorter
// than Consul's own, the agent says so once, and works.
func TestLife09_Text(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, StartParked: true})
	k.Env = append(k.Env, "CONSUL_HTTP_ADDR=http://"+k.Consul.HTTP()+"/", "CONSUL_SERVICE_PREFIX=my."+k.Name,
		"CONSUL_DEREGISTER_SERVICE_AFTER=10s")
	ok(t, k.Agent(0))
	lab.Eventually(t, patience, func() error {
		out, errs, code, err := k.Run(0, "", "status")
		if err == nil && code != 0 {
			err = fmt.Errorf("resec status: exit %d: %s%s", code, out, errs)
		}
		return err
	})
	if _, err := k.Consul.Lookup(t.Context(), "my."+k.Name+"-master"); err == nil {
		t.Errorf("Consul's DNS finds my.%s-master after all", k.Name)
	}
	for _, event := range []string{"event=name_not_in_dns name=my." + k.Name + "-master",
		"event=name_not_in_dns name=my." + k.Name + "-slave", "event=deregister_after_below_consul_minimum"} {
		if n := strings.Count(k.Agents[0].Output(), event); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", event, n, k.Agents[0].Output())
		}
	}
	ok(t, k.Stop())
}
