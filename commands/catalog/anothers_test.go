package catalog

import (
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
