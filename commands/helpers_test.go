package commands_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// exits waits for a process and compares its exit code.
func exits(t *testing.T, p *lab.Process, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if code, err := p.Wait(ctx); err != nil || code != want {
		t.Fatalf("%s exited with %d, want %d: %v\n%s", p.Name, code, want, err, p.Output())
	}
	expect.OK(t, p.Sane())
}

// destroySession destroys the session that holds the cluster's lock.
func destroySession(t *testing.T, k *lab.Cluster) {
	t.Helper()
	pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
	expect.OK(t, err)
	if pair == nil || pair.Session == "" {
		t.Fatal("the lock is free")
	}
	_, err = k.Consul.Client.Session().Destroy(pair.Session, nil)
	expect.OK(t, err)
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// kvPair is a pair for Consul's KV store.
func kvPair(key, value string) *api.KVPair { return &api.KVPair{Key: key, Value: []byte(value)} }
