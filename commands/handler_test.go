package commands_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/expect"
	"resec/handlers"
	"resec/scripts/lab"
)

func TestHandlers_OneByOne(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	a, b := k.Redis[0], k.Redis[1]
	handle := func(stdin string, args ...string) handlers.Result {
		t.Helper()
		out, stderr, code, err := k.Run(0, stdin, args...)
		expect.OK(t, err)
		var r handlers.Result
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
			t.Fatalf("%v: exit %d, %q: %v\n%s", args, code, out, err, stderr)
		}
		return r
	}
	run, err := a.Info("run_id")
	expect.OK(t, err)
	same := func(what string, got, want handlers.Result) {
		t.Helper()
		want.Redis, want.RunID = a.Addr, run
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	same("replicate", handle("", "replicate", b.Addr), handlers.Result{Handler: "replicate", Role: "replica", Master: b.Addr,
		Changed: true})
	lab.Eventually(t, 5*time.Second, func() error { return a.Follows(b) })
	same("replicate again", handle("", "replicate", b.Addr), handlers.Result{Handler: "replicate", Role: "replica",
		Master: b.Addr})
	same("promote", handle(`{"type":"promote","term":3}`, "promote"), handlers.Result{Handler: "promote", Role: "master",
		Changed: true})
	expect.OK(t, a.IsMaster(0))
	same("fence", handle("", "fence"), handlers.Result{Handler: "fence", Role: "master", Changed: true})
	if _, err := a.Do("SET", "k", "v"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("a write on a fenced redis got %v", err)
	}
	same("fence again", handle("", "fence"), handlers.Result{Handler: "fence", Role: "master"})
	same("promote a fenced one", handle("", "promote"), handlers.Result{Handler: "promote", Role: "master", Changed: true})
	expect.OK(t, a.IsMaster(0))
	same("replicate itself", handle("", "replicate", a.Addr), handlers.Result{Handler: "replicate", Role: "master",
		Reason: "it is the master itself"})
	if r := handle("[]", "replicate"); r.Changed || r.Reason != "there is no master" {
		t.Errorf("without a master: %+v", r)
	}
}

// An event is read from a pipe that stays open. A pipe that stays open without data is no event.
func TestHandlers_OpenPipe(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	for _, c := range []struct{ stdin, want string }{
		{`printf '{"type":"fence"}'; sleep 5`, `is of type "fence", this handler takes "promote"`},
		{`sleep 5`, `"handler":"promote"`},
		{`echo`, `"handler":"promote"`},
	} {
		p, err := k.Script(fmt.Sprintf("pipe%d", len(c.stdin)), 0, "{ "+c.stdin+"; } | resec promote")
		expect.OK(t, err)
		lab.Eventually(t, 4*time.Second, func() error { return p.Said(c.want) })
		p.Kill()
	}
}

// After a fence the operator's own min-replicas-to-write is restored.
func TestHandlers_FenceKeepsTheOperatorsValue(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1, "--min-replicas-to-write", "2")
	for _, h := range []string{"fence", "fence", "promote"} {
		if _, stderr, code, err := k.Run(0, "", h); err != nil || code != 0 {
			t.Fatalf("%s: exit %d: %v %s", h, code, err, stderr)
		}
	}
	out, err := k.Redis[0].Do("INFO", "replication")
	expect.OK(t, err)
	if !strings.Contains(out, "min_slaves_good_slaves") {
		t.Errorf("min-replicas-to-write is not restored:\n%s", out)
	}
	if _, err := k.Redis[0].Do("SET", "k", "v"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("without the two replicas that the operator requires, a write got %v", err)
	}
}

func TestHandlers_RefuseAndFail(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	for i := range 5 {
		if _, err := k.Redis[0].Do("SET", "k"+string(rune('0'+i)), "v"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := k.Redis[2].Do("REPLICAOF", "127.0.0.1", "1")
	expect.OK(t, err)
	dead := lab.Host() + ":6379"
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		want        string
	}{
		{"an empty master", "", []string{"replicate", k.Redis[1].Addr}, 2, "it is empty, and would wipe 5 keys here"},
		{"a replica", "", []string{"replicate", k.Redis[2].Addr}, 2, "it is a replica of 127.0.0.1:1"},
		{"no server at the address", "", []string{"replicate", dead}, 2, "connection refused"},
		{"no address", "", []string{"replicate"}, 1, "replicate takes a host:port, or service entries on standard input"},
		{"a bad address", "", []string{"replicate", "nowhere"}, 1, `invalid master "nowhere": takes host:port`},
		{"two arguments", "", []string{"replicate", dead, dead}, 1, "takes one host:port"},
		{"no JSON", "{", []string{"promote"}, 1, "read the event on standard input"},
		{"an event of another type", `{"type":"fence"}`, []string{"promote"}, 1,
			`is of type "fence", this handler takes "promote"`},
		{"no entries", `{}`, []string{"replicate"}, 1, "read the service entries"},
		{"no redis", "", []string{"promote", "-redis-addr", dead}, 2, "connection refused"},
	} {
		stdout, stderr, code, err := k.Run(0, c.stdin, c.args...)
		if err != nil || code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%s: exit %d, want %d: %v\n%s%s", c.name, code, c.code, err, stdout, stderr)
		}
	}
	expect.OK(t, k.Redis[0].Is("role", "master"))
	if n, err := k.Redis[0].Do("GET", "k3"); err != nil || n != "v" {
		t.Errorf("a key was lost: %v", err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	status := func(want int, lines ...string) {
		t.Helper()
		out, stderr, code, err := k.Run(0, "", "status")
		if err != nil || code != want {
			t.Errorf("exit %d, want %d: %v\n%s%s", code, want, err, out, stderr)
		}
		for _, l := range lines {
			if !strings.Contains(out, l) {
				t.Errorf("no %q in\n%s", l, out)
			}
		}
	}
	status(2, "no master: none was published yet")
	expect.OK(t, k.Go())
	m, err := k.Master()
	expect.OK(t, err)
	status(0, "healthy: master m"+string(rune('0'+m))+", term 1, 1 streaming replicas", "held", "up", "passing")
	if out, stderr, code, err := k.Run(0, "", "status", "-wait", "1m", "-consul-service-prefix", "other"); err != nil || code != 1 ||
		!strings.Contains(stderr, "belongs to another cluster") || !strings.Contains(stderr, "CONSUL_SERVICE_PREFIX") {
		t.Errorf("for another cluster: exit %d: %v\n%s%s", code, err, out, stderr)
	}
	k.Agents[1-m].Kill()
	k.Redis[1-m].Kill()
	status(1, "degraded: ", "unknown", "redis refuses connections from here")
	k.Agents[m].Kill()
	k.Redis[m].Kill()
	status(2, "no master: the published master m"+string(rune('0'+m))+" is down, unreachable, restarted or a replica")
	out, _, code, err := k.Run(0, "", "status", "-json")
	var r struct {
		Code    int
		Members []struct{ ID, Role string }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 2 || r.Code != 2 || len(r.Members) != 2 ||
		r.Members[0].Role != "unknown" {
		t.Errorf("exit %d, %+v: %v", code, r, err)
	}
	expect.OK(t, err)
	if _, stderr, code, err := k.Run(0, "", "status", "-http-addr", lab.Host()+":8500"); err != nil || code != 3 ||
		!strings.Contains(stderr, "connection refused; start the Consul agent of this host, or set CONSUL_HTTP_ADDR") {
		t.Errorf("without consul: exit %d: %v\n%s", code, err, stderr)
	}
}
