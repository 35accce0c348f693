package redis

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFence_EncodesTheReplacedValue(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		before, fence, restore int
	}{
		{"0", 0, 2147483647, 0},
		{"1", 1, 2147483646, 1},
		{"the largest value that a fence can encode", 1023, 2147482624, 1023},
		{"a larger value is restored as the largest", 1024, 2147482624, 1023},
		{"the maximum is restored as the largest", math.MaxInt32, 2147482624, 1023},
		{"a negative value is restored as 0", -1, 2147483647, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fence := fenceOver(tt.before)
			if fence != tt.fence || !fenced(fence) || underFence(fence) != tt.restore {
				t.Errorf("fenceOver(%d) = %d, fenced %t, underFence %d; want %d, true, %d",
					tt.before, fence, fenced(fence), underFence(fence), tt.fence, tt.restore)
			}
			if got := (Status{MinReplicas: fence}).MinReplicasUnfenced(); got != tt.restore {
				t.Errorf("MinReplicasUnfenced() = %d, want %d", got, tt.restore)
			}
		})
	}
	if got := (Status{MinReplicas: 2}).MinReplicasUnfenced(); got != 2 {
		t.Errorf("without a fence MinReplicasUnfenced() = %d, want 2", got)
	}
}

func TestFenced(t *testing.T) {
	for n, want := range map[int]bool{
		0: false, 1: false, 1023: false, 1024: false, math.MaxInt32 - 1024: false,
		math.MaxInt32 - 1023: true, math.MaxInt32 - 1: true, math.MaxInt32: true,
	} {
		if got := fenced(n); got != want {
			t.Errorf("fenced(%d) = %t, want %t", n, got, want)
		}
	}
}

// The commands of Fence, Unfence and SetGuard, by the settings that the server reports.
func TestFence_Commands(t *testing.T) {
	fence := func(s *Server) error { return s.Fence(t.Context()) }
	unfence := func(s *Server) error { _, err := s.Unfence(t.Context()); return err }
	for _, tt := range []struct {
		name                string
		minReplicas, maxLag string
		call                func(*Server) error
		want                []string
		fences              int32
	}{
		{"the operator's setting is encoded", "2", "10", fence, []string{"CONFIG SET min-replicas-to-write 2147483645"}, 1},
		{"with max-lag 0 the setting had no effect, so 0 is encoded", "2", "0", fence,
			[]string{"CONFIG SET min-replicas-to-write 2147483647", "CONFIG SET min-replicas-max-lag 10"}, 1},
		{"a fenced server is not fenced again", "2147483645", "10", fence, nil, 0},
		{"a fence is lifted to the encoded value",
			"2147483645", "10", unfence, []string{"CONFIG SET min-replicas-to-write 2"}, 0},
		{"a server without a fence is left as it is", "2", "10", unfence, nil, 0},
		{"a guard sets the lag first", "0", "10", func(s *Server) error { return s.SetGuard(t.Context(), 1, 4) },
			[]string{"CONFIG SET min-replicas-max-lag 4", "CONFIG SET min-replicas-to-write 1"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.set("min-replicas-to-write", tt.minReplicas)
			p.set("min-replicas-max-lag", tt.maxLag)
			var c counts
			s := p.open(t, Options{Counters: &c})
			if err := tt.call(s); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, p.changes()); d != "" {
				t.Error(d)
			}
			if got := c.fenced.Load(); got != tt.fences {
				t.Errorf("%d fences are counted, want %d", got, tt.fences)
			}
		})
	}
}

func TestUnfence_ReportsWhetherThereWasAFence(t *testing.T) {
	p := newPeer(t, nil)
	p.set("min-replicas-to-write", "2147483645")
	p.set("min-replicas-max-lag", "10")
	s := p.open(t, Options{})
	for _, want := range []bool{true, false} {
		if got, err := s.Unfence(t.Context()); got != want || err != nil {
			t.Errorf("Unfence() = %t, %v; want %t", got, err, want)
		}
		p.set("min-replicas-to-write", "2")
	}
	p.fail("CONFIG SET", "-NOPERM no")
	p.set("min-replicas-to-write", "2147483645")
	if got, err := s.Unfence(t.Context()); got || err == nil {
		t.Errorf("with an error reply Unfence() = %t, %v", got, err)
	}
}

func TestFence_NotCountedUnlessConfirmed(t *testing.T) {
	p := newPeer(t, nil)
	p.fail("CONFIG SET", "-NOPERM no")
	var c counts
	s := p.open(t, Options{Counters: &c})
	if err := s.Fence(t.Context()); err == nil || c.fenced.Load() != 0 || c.errors.Load() != 1 {
		t.Errorf("got %v, %d fences and %d errors counted; want an error, 0 and 1", err, c.fenced.Load(), c.errors.Load())
	}
}
