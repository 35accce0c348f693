package announce

import (
	"log/slog"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/commands/known"
)

// A check that another program has made critical is logged once, and not before Consul's servers have shown it as this process
// wrote it.
func TestForeignCheck_Log(t *testing.T) {
	a, log := bareAnnouncer(), &expect.Log{}
	a.Log, a.Registrar.ID = slog.New(slog.NewTextHandler(log, nil)), "redis:6379"
	f := &foreignCheck{}
	shows := func(status, output string) {
		f.log(a, api.HealthChecks{{CheckID: a.Registrar.CheckID(), Status: status, Output: output}})
	}
	logged := func(name string, times int) {
		t.Helper()
		if err := log.Count("event=check_set_by_other", times); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	shows(api.HealthCritical, "a predecessor's")
	logged("before anything was written", 0)
	shows(api.HealthPassing, "master")
	shows(api.HealthCritical, "a predecessor's")
	logged("before this member was registered", 0)
	a.Known.Update(func(k *known.Snapshot) { k.Registered = true })
	shows(api.HealthPassing, "master")
	shows(api.HealthCritical, "by hand")
	shows(api.HealthCritical, "by hand")
	logged("twice the same", 1)
	f.log(a, nil)
	shows(api.HealthCritical, "by hand")
	logged("it was missing meanwhile", 1)
	shows(api.HealthPassing, "master")
	shows(api.HealthCritical, "by hand")
	logged("again, later", 2)
	f.confirmed = false // Consul failed
	shows(api.HealthCritical, "restored")
	logged("after Consul failed", 2)
}
