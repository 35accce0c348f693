package catalog

import (
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// ForeignCheck returns the output of the instance's TTL check if another program has made that check critical; otherwise it
// returns an empty text. A check that Set has wanted critical, or whose TTL has ended, is not another program's. seen reports
// whether the check is among those given. Any goroutine may call it.
func (r *Registrar) ForeignCheck(shown api.HealthChecks) (output string, seen bool) {
	i := slices.IndexFunc(shown, func(c *api.HealthCheck) bool { return c.CheckID == r.CheckID() })
	if i < 0 {
		return "", false
	}
	is := shown[i]
	if is.Status != api.HealthCritical || strings.HasPrefix(is.Output, handlers.TTLExpired) || r.criticals.has(is.Output) {
		return "", true
	}
	if strings.TrimSpace(is.Output) == "" {
		return "no output", true
	}
	return is.Output, true
}

// criticals are the last outputs with which Set has wanted the check critical: Consul's servers may show one of them later.
type criticals struct {
	mu   sync.Mutex
	last []string
}

// keptCriticals is more than Set gets while an answer of Consul's servers is under way.
const keptCriticals = 16

func (c *criticals) add(e Entry) {
	if e.Status != api.HealthCritical {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, output := range []string{e.Output, ""} { // a registration leaves the output empty
		c.last = slices.DeleteFunc(c.last, func(o string) bool { return o == output })
		c.last = append(c.last, output)
	}
	c.last = c.last[max(0, len(c.last)-keptCriticals):]
}

func (c *criticals) has(output string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.last, output)
}
