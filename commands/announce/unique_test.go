package announce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/logonce"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// Another Redis under our id is no predecessor of ours.
func TestIDInUse(t *testing.T) {
	t.Parallel()
	a := bareAnnouncer()
	r, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	a.Creds.Timeout = 5 * time.Second
	runID, err := r.Info("run_id")
	expect.OK(t, err)
	m := consultest.Master("me", runID, 1)
	m.Address = r.Addr
	expect.Equal(t, "it answers", a.idInUse(t.Context(), m, "run-me") != "", true)
	expect.Equal(t, "it is ours", a.idInUse(t.Context(), m, runID), "")
	expect.Equal(t, "none is published", a.idInUse(t.Context(), nil, "run-me"), "")
	other := *m
	other.ID = "b"
	expect.Equal(t, "another member", a.idInUse(t.Context(), &other, "run-me"), "")
	old := *m
	old.RunID = "run-old"
	expect.Equal(t, "another instance answers there", a.idInUse(t.Context(), &old, "run-me"), "")
	r.Kill()
	expect.Equal(t, "it is down", a.idInUse(t.Context(), m, "run-me"), "")
}

// entry is a member's replica entry in the catalogue.
func entry(id, node, service, status string) handlers.Entry {
	var e handlers.Entry
	e.Node.Node, e.Service.ID, e.Service.Meta = node, service, catalog.Meta(id, 0, "")
	e.Checks = append(e.Checks, handlers.Check{Status: status})
	return e
}

func TestDuplicateEntry(t *testing.T) {
	me := bareAnnouncer().Me
	for _, tt := range []struct {
		name string
		e    handlers.Entry
		want bool
	}{
		{"our own", entry("me", "n", "redis:6379", api.HealthPassing), false},
		{"another member", entry("a", "m", "redis:6379", api.HealthPassing), false},
		{"another member on this node", entry("a", "n", "redis:6380", api.HealthPassing), false},
		{"our id on another node", entry("me", "m", "redis:6379", api.HealthPassing), true},
		{"our id at another port", entry("me", "n", "redis:6380", api.HealthPassing), true},
		{"our place under another id", entry("a", "n", "redis:6379", api.HealthPassing), true},
		{"one that is dead", entry("a", "n", "redis:6379", api.HealthCritical), false},
		{"one without an id", entry("", "n", "redis:6379", api.HealthPassing), false},
	} {
		expect.Equal(t, tt.name, duplicateEntry([]handlers.Entry{tt.e}, me) != "", tt.want)
	}
}

// Our Redis is not managed if another process manages it, or if our address leads to another one.
func TestCheckOwnRedis(t *testing.T) {
	t.Parallel()
	a := bareAnnouncer()
	s, r := a.withRedis(t)
	check := func() string {
		t.Helper()
		why, err := a.checkOwnRedis(t.Context(), s, &logonce.Once{})
		expect.OK(t, err)
		return why
	}
	expect.Equal(t, "it is ours", check(), "")
	other, err := lab.ForTest(t).StartRedis("other")
	expect.OK(t, err)
	a.Me.Address = other.Addr
	expect.Equal(t, "our address leads to another", check() != "", true)
	other.Kill()
	expect.Equal(t, "it leads to none", check(), "")
	a.Me.Address = r.Addr
	second, why, err := a.connect(t.Context(), &logonce.Once{}) // another process of our name
	if err != nil || second != nil || why == "" {
		t.Errorf("got %v, %q, %v", second, why, err)
	}
	r.Kill()
	expect.Equal(t, "it is down", check() != "", true)
}

// Our Redis is opened once no other process of our name works on it.
func TestOpenUnique(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	first, _ := a.withRedis(t)
	ended, end := context.WithCancel(t.Context())
	end()
	if s, err := a.OpenUnique(ended); s != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v, %v", s, err)
	}
	var second *redis.Server
	var done errgroup.Group
	done.Go(func() (err error) {
		second, err = a.OpenUnique(t.Context())
		return err
	})
	lab.Eventually(t, expect.Patience, func() error {
		if out := a.Advertised.Load().Output; !strings.HasPrefix(out, "not started yet: another resec") {
			return fmt.Errorf("it shows %q", out)
		}
		return nil
	})
	first.Close()
	expect.OK(t, done.Wait())
	defer second.Close()
	_, err := second.Status(t.Context())
	expect.OK(t, err)
}
