package catalog

import (
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
)

func TestForeignCheck(t *testing.T) {
	r := &Registrar{ID: "r-1"}
	shown := func(status, output string) api.HealthChecks {
		return api.HealthChecks{{CheckID: "serfHealth", Status: api.HealthCritical, Output: "left"},
			{CheckID: r.CheckID(), Status: status, Output: output}}
	}
	expects := func(name string, checks api.HealthChecks, output string, seen bool) {
		t.Helper()
		got, is := r.ForeignCheck(checks)
		expect.Equal(t, name, got, output)
		expect.Equal(t, name+": seen", is, seen)
	}
	byHand := shown(api.HealthCritical, "by hand")
	expects("another program's", byHand, "by hand", true)
	expects("without a word", shown(api.HealthCritical, " "), "no output", true)
	expects("its TTL is over", shown(api.HealthCritical, "TTL expired (last output before timeout follows): master"), "", true)
	expects("as it should be", shown(api.HealthPassing, "master"), "", true)
	expects("a warning ends no session", shown(api.HealthWarning, "by hand"), "", true)
	expects("another instance's", byHand[:1], "", false)

	r.criticals.add(Entry{Status: api.HealthPassing, Output: "by hand"})
	expects("ours was passing", byHand, "by hand", true)
	r.criticals.add(Entry{Status: api.HealthCritical, Output: "redis is down"})
	expects("ours", shown(api.HealthCritical, "redis is down"), "", true)
	expects("ours, as it was registered", shown(api.HealthCritical, ""), "", true)
	for i := range keptCriticals {
		r.criticals.add(Entry{Status: api.HealthCritical, Output: fmt.Sprint(i)})
		expects("ours, a moment ago", shown(api.HealthCritical, fmt.Sprint(i)), "", true)
		expects("ours, as it was registered", shown(api.HealthCritical, ""), "", true)
	}
	expects("ours, long ago", shown(api.HealthCritical, "redis is down"), "redis is down", true)
	expect.Equal(t, "kept", len(r.criticals.last), keptCriticals)
}
