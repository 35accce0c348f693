package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
)

func TestDemoteOps(t *testing.T) {
	entries := parse(t, member("redis-master", "me"), member("redis-master", "old"), member("redis-master", ""),
		member("redis-slave", "b"))
	ops := byName.DemoteOps(entries, "node-me", "redis-me")
	want := api.TxnOps{{Service: &api.ServiceTxnOp{Verb: api.ServiceCAS, Node: "node-old", Service: api.AgentService{
		ID: "redis-old", Service: "redis-slave", Address: "10.0.0.1", Port: 6379, Meta: map[string]string{"id": "old"},
		Weights: api.AgentWeights{Passing: 1, Warning: 1}, ModifyIndex: 42}}}}
	if d := cmp.Diff(want, ops); d != "" {
		t.Error(d)
	}
	for _, tt := range []struct{ name, node, service string }{
		{"another node", "node-b", "redis-me"}, {"another service", "node-me", "redis-b"},
	} {
		if n := len(byName.DemoteOps(entries, tt.node, tt.service)); n != 2 {
			t.Errorf("%s: %d entries are demoted, want 2", tt.name, n)
		}
	}
}

func TestDemote(t *testing.T) {
	const stale = `{"Errors":[{"OpIndex":0,"What":"failed to set service \"redis-b\" on node \"node-b\", index is stale"}]}`
	const other = `{"Errors":[{"OpIndex":0,"What":"Permission denied"}]}`
	for _, tt := range []struct {
		name, txn string
		err       string
	}{
		{"demoted", "", ""},
		{"registered anew meanwhile", stale, ""},
		{"denied", other, "demote old master entry redis-a on node node-a: Permission denied\n" +
			"demote old master entry redis-b on node node-b: Permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, client := newFakeConsul(t)
			f.entries["redis-master"] = []*api.ServiceEntry{
				member("redis-master", "a"), member("redis-master", "b"), member("redis-master", "me")}
			f.txn = tt.txn
			if got := errText(byName.Demote(t.Context(), client, "node-me", "redis-me")); got != tt.err {
				t.Errorf("%q, want %q", got, tt.err)
			}
			if len(f.ops) != 2 || f.ops[0].Service.Node != "node-a" || f.ops[1].Service.Node != "node-b" {
				t.Fatalf("operations: %+v", f.ops)
			}
			if verb := f.ops[0].Service.Verb; verb != api.ServiceCAS {
				t.Errorf("the verb is %s", verb)
			}
		})
	}
}

func TestDemote_Unreachable(t *testing.T) {
	f, client := newFakeConsul(t)
	f.entries["redis-master"] = []*api.ServiceEntry{member("redis-master", "a")}
	f.fate = func(_ int, call string) fate { return fate{refused: call == "txn"} }
	err := byName.Demote(t.Context(), client, "", "")
	if !errors.Is(err, errRefused) || !strings.HasPrefix(err.Error(), "demote old master entry redis-a on node node-a: ") {
		t.Error(err)
	}
	f.fate = func(int, string) fate { return fate{refused: true} }
	err = byName.Demote(t.Context(), client, "", "")
	if !errors.Is(err, errRefused) || !strings.HasPrefix(err.Error(), "read service redis-master: ") {
		t.Error(err)
	}
}
