package commands_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/commands/lock"
	"resec/scripts/lab"
)

// Consul shows an older state, and the lock under another session, as after the restoration of a snapshot. The elect that leads
// writes the newest state back, takes its lock back, and stays.
func TestElect_OlderStateIsRestored(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	kv, key := k.Consul.Client.KV(), k.Name+"/.lock"
	state := func(term int) (value []byte, err error) {
		p, _, err := kv.Get(key+"/state", nil)
		if err == nil && (p == nil || !strings.Contains(string(p.Value), fmt.Sprintf(`"term":%d`, term))) {
			err = fmt.Errorf("the state is not of term %d: %+v", term, p)
		}
		if err != nil {
			return nil, err
		}
		return p.Value, nil
	}
	first, err := k.Resec("elect-first", 0, "elect")
	expect.OK(t, err)
	var older []byte
	lab.Eventually(t, 10*time.Second, func() error { older, err = state(1); return err })
	first.Signal(syscall.SIGTERM)
	exits(t, first, 0)
	e, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { _, err := state(2); return err })
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	held, _, err := kv.Get(key, nil)
	expect.OK(t, err)
	other, _, err := k.Consul.Client.Session().CreateNoChecks(&api.SessionEntry{Name: "the snapshot's"}, nil)
	expect.OK(t, err)
	ok, res, _, err := k.Consul.Client.Txn().Txn(api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVSet, Key: key + "/state", Value: older}},
		{KV: &api.KVTxnOp{Verb: api.KVUnlock, Key: key, Value: []byte("m9"), Flags: lock.Flag, Session: held.Session}},
		{KV: &api.KVTxnOp{Verb: api.KVLock, Key: key, Value: []byte("m9"), Flags: lock.Flag, Session: other}}}, nil)
	if err != nil || !ok {
		t.Fatalf("%v %+v", err, res)
	}
	lab.Eventually(t, 5*time.Second, func() error {
		_, err := state(2)
		if now, _, err2 := kv.Get(key, nil); err == nil && err2 == nil && now.Session != held.Session {
			err = fmt.Errorf("the lock is held by %s of %s", now.Session, now.Value)
		}
		return errors.Join(err, e.Said("event=lock_taken_back"))
	})
	expect.OK(t, k.Redis[0].Is("role", "master"))
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
}
