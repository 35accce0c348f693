package catalog

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestDifference(t *testing.T) {
	n := Naming{Prefix: "redis", MasterTags: []string{"m"}}
	e := Entry{Role: Master, Status: passing, Output: "master", Meta: map[string]string{"id": "a"}}
	right := func(change ...func(*listing)) listing {
		l := listing{service: &api.AgentService{Service: "redis-master", Tags: []string{"m"}, Address: "h", Port: 6379,
			Meta: map[string]string{"id": "a"}}, check: &api.HealthCheck{Status: passing, Output: "older"}}
		for _, f := range change {
			f(&l)
		}
		return l
	}
	for _, tt := range []struct {
		name string
		l    listing
		want string
	}{
		{"nothing, whatever the check's output is", right(), ""},
		{"no service", right(func(l *listing) { l.service = nil }), "the service is missing"},
		{"another name", right(func(l *listing) { l.service.Service = "redis-slave" }), "the service is redis-slave instead of redis-master"},
		{"other tags", right(func(l *listing) { l.service.Tags = nil }), "the tags are [] instead of [m]"},
		{"another address", right(func(l *listing) { l.service.Address = "i" }), "the address is i:6379 instead of h:6379"},
		{"another port", right(func(l *listing) { l.service.Port = 1 }), "the address is h:1 instead of h:6379"},
		{"other metadata", right(func(l *listing) { l.service.Meta = nil }), "the metadata are map[] instead of map[id:a]"},
		{"no check", right(func(l *listing) { l.check = nil }), "the check is missing"},
		{"another status", right(func(l *listing) { l.check.Status = critical }), "the check is critical instead of passing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := n.difference(tt.l, e, "h", 6379); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := (Naming{Prefix: "redis"}).difference(right(func(l *listing) { l.service.Tags = []string{} }), e, "h", 6379); got != "" {
		t.Errorf("no tags and no tags: %s", got)
	}
}

// What something else writes again and again is logged each 5 minutes.
func TestComparison_WorthALine(t *testing.T) {
	var c comparison
	now, lines := time.Now(), 0
	for range 600 {
		now = now.Add(time.Second)
		if c.worthALine("the service is missing", now) {
			lines++
		}
	}
	if lines != 2 || !c.worthALine("the check is missing", now) {
		t.Errorf("%d lines", lines)
	}
}

// An entry that has just been published is not compared yet: the Consul agent may be passing it on.
func TestPublished_Settled(t *testing.T) {
	inBubble(t, func(b *bench) {
		e := entry(Master, passing, "m")
		b.published.set(&e)
		if b.published.settled() != nil {
			t.Error("it is compared at once")
		}
		<-time.After(compareSettle)
		same := e
		b.published.set(&same)
		if got := b.published.settled(); got == nil || !strings.Contains(got.Output, "m") {
			t.Errorf("settled is %+v", got)
		}
		b.published.begin(same)
		if b.published.settled() == nil {
			t.Error("an update of the same entry stops the comparison")
		}
		b.published.begin(entry(Replica, passing, "r"))
		<-time.After(compareSettle)
		if b.published.settled() != nil {
			t.Error("it is compared while another entry is being published")
		}
		b.published.set(nil)
		<-time.After(compareSettle)
		if b.published.settled() != nil {
			t.Error("it is compared although the last attempt failed")
		}
	})
}
