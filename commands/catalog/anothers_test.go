package catalog

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// An instance that another process registers, too, is left to it. If none does, it is deregistered.
func TestRegistrar_MayBeAnothers(t *testing.T) {
	own := Entry{Role: Replica, Status: api.HealthPassing, Meta: Meta("me", 1, "")}
	for _, another := range []bool{true, false} {
		inBubble(t, func(b *bench) {
			b.MayBeAnothers = func() bool { return true }
			b.begin(own)
			if another {
				b.at(4*time.Second, func() { b.change(func(f *fakeConsul) { f.service.Meta = Meta("other", 1, "") }) })
			}
			b.succeeds(b.runFor(time.Second))
			b.change(func(f *fakeConsul) {
				if left := f.service != nil; left != another {
					b.t.Errorf("another process registers it: %t; it is left: %t", another, left)
				}
			})
		})
	}
}

// A stop during the wait for another process's registration is not ignored until an interval has passed.
func TestRegistrar_MayBeAnothers_Leaving(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		inBubble(t, func(b *bench) {
			var asked atomic.Bool
			b.MayBeAnothers = func() bool { return true }
			b.Leaving = asked.Load
			b.DeregisterTimeout = func() time.Duration { return time.Second }
			b.begin(Entry{Role: Replica, Status: api.HealthPassing, Meta: Meta("me", 1, "")})
			if leaves {
				b.at(4*time.Second, func() { asked.Store(true) })
			}
			b.succeeds(b.runFor(time.Second))
			want := time.Second + b.Interval + retryInterval
			if leaves {
				want = 4 * time.Second
			}
			if got := time.Since(b.began); got < want || got > want+retryInterval || b.service != nil {
				t.Errorf("it leaves %t: the end is at %s, want %s; registered: %t", leaves, got, want, b.service != nil)
			}
		})
	}
}
