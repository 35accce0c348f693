package main

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"resec/scripts/lab"
)

// drawn are rounds of a seed.
func drawn(seed uint64, members int) (out [][]Step) {
	all, _ := named("", false)
	r := rand.New(rand.NewPCG(seed, uint64(members)))
	for range rounds {
		d := drawing{Rand: r, setting: settingOf(seed, members), kinds: all}
		out = append(out, d.draw())
	}
	return out
}

func TestDraw(t *testing.T) {
	if !reflect.DeepEqual(drawn(7, 3), drawn(7, 3)) {
		t.Error("a seed draws other faults when it is used again")
	}
	seen := map[Kind]bool{}
	for seed := range uint64(300) {
		for _, n := range []int{2, 3, 5} {
			s := settingOf(seed, n)
			for _, steps := range drawn(seed, n) {
				kills, wipes := 0, 0
				for _, step := range steps {
					for _, f := range step.Faults {
						seen[f.Kind] = true
						checkFault(t, s, f)
						if f.is(forgets) {
							kills++
						}
						if f.Kind == RedisWiped {
							wipes++
						}
					}
				}
				if wipes > 1 || s.Persist == lab.None && kills > n-1 {
					t.Fatalf("seed %d, n=%d: perhaps no member keeps the data: %v", seed, n, steps)
				}
			}
		}
	}
	if all, _ := named("", false); len(seen) != len(all) {
		t.Errorf("only these kinds are drawn: %v, not %v", seen, all)
	}
}

func checkFault(t *testing.T, s setting, f Fault) {
	t.Helper()
	n := kinds[f.Kind]
	ends := f.Kind != MemberLink || f.On != f.To
	target := f.On >= 0 && (f.On < s.Members || f.On <= s.Servers) && f.To >= 0 && f.To < s.Members
	lasts := f.For >= n.least && f.For <= n.most || f.For == 0 && n.least == 0
	switch {
	case !ends || !target || !lasts || f.After < 0 || f.After > time.Second:
		t.Fatalf("%+v", f)
	case f.Kind == RedisFrozen && (f.For < 500*time.Millisecond || f.For > 8*time.Second):
		t.Fatalf("frozen for %s", f.For)
	case f.is(cuts) && f.How != lab.Drop && !s.Rejects:
		t.Fatalf("%s, on a network that does not", f)
	case (f.Kind == ByHand || f.Kind == LinksKilled) && (f.On == 0 || f.To == 0 && f.Kind == ByHand):
		t.Fatalf("%+v is no replica's", f)
	}
}
