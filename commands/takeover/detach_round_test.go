package takeover

import (
	"strings"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// newRun is a run of the scene's takeover that has not started, with every recorded member known and none parked.
func (s *scene) newRun() *run {
	s.Evidence.Detached = cluster.NewDetachTracker()
	p := &run{Takeover: s.Takeover, began: time.Now(), old: &oldMaster{log: s.Log}}
	for _, o := range s.Peers.Recorded {
		if o.ID != "old" {
			p.parked = append(p.parked, &parkedPeer{RecordedPeer: o, err: errTimeout})
		}
	}
	s.t.Cleanup(p.close)
	return p
}

// One slow member that must be parked again in each round must not make the evidence of the other members start again.
func TestRefreshDetached_SlowMember(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	slow := startRedis(t, s.log, "slow", replicaOf(s.other["old"].addr))
	slow.set(func(f *fake) {
		f.slow = func(line string) time.Duration { // each command in time, but all that a round may need take 1.6 s
			if line == "INFO" || strings.HasPrefix(line, "CONFIG SET") || strings.HasPrefix(line, "REPLICAOF") {
				return peerTimeout * 9 / 10
			}
			return 0
		}
	})
	s.Peers.Recorded = append(s.Peers.Recorded, RecordedPeer{ID: "slow", Address: slow.addr})
	s.view.State.Members["slow"] = cluster.MemberRecord{RunID: "run-slow", Address: slow.addr}
	p := s.newRun()
	began := time.Now()
	for range 3 {
		p.refreshDetached(t.Context(), s.view)
		<-time.After(ProbeInterval)
		slow.set(func(f *fake) { f.st.MasterAddr, f.st.LinkUp = s.other["old"].addr, true })
	}
	atLeast := time.Since(began) - ProbeInterval - peersRoundTimeout
	if got := p.countDetached(time.Now(), atLeast); got != 2 { // ours and b
		t.Errorf("%d members are known to be detached for %s, not 2", got, atLeast)
	}
}

func TestRefreshDetached(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(*scene)
		want    int
	}{
		{"both are parked", func(*scene) {}, 2},
		{"a member is down", func(s *scene) { s.other["b"].stop() }, 2},
		{"a member does not answer", func(s *scene) { s.other["b"].set(func(f *fake) { f.frozen = true }) }, 1},
		{"another redis answers at a member's address", func(s *scene) {
			s.other["b"].set(func(f *fake) {
				f.st = redis.Status{RunID: "x", Master: true,
					Position: redis.Position{ReplID: "zzzz"}}
			})
		}, 2},
		{"a member cannot be parked", func(s *scene) { s.other["b"].set(func(f *fake) { f.sticky = true }) }, 1},
		{"the lease is over", leaseOver, 1},
		{"our redis is a master", func(s *scene) { s.me.set(func(f *fake) { f.st.Master = true }) }, 2},
		{"our redis cannot be parked", func(s *scene) { s.me.set(func(f *fake) { f.sticky = true }) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.arrange(s)
			p := s.newRun()
			p.refreshDetached(t.Context(), s.view)
			if got := p.countDetached(time.Now(), 0); got != tt.want {
				t.Errorf("%d are detached, want %d", got, tt.want)
			}
			if master := s.me.status().Master; master != (tt.name == "our redis is a master") {
				t.Errorf("our redis is a master: %t", master)
			}
		})
	}
}

// A member that follows the old master again between two rounds is parked again, and its evidence starts again.
func TestRefreshDetached_StartsAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*fake)
		want   int // members that have been detached since the first round
	}{
		{"nothing happens", func(*fake) {}, 2},
		{"it follows the old master again", func(f *fake) { f.st.MasterAddr, f.st.LinkUp = "127.0.0.1:2", true }, 1},
		{"it was restarted", func(f *fake) { f.st.RunID = "run-2" }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			p := s.newRun()
			p.refreshDetached(t.Context(), s.view)
			first := time.Now()
			s.other["b"].set(tt.change)
			<-time.After(20 * time.Millisecond)
			p.refreshDetached(t.Context(), s.view)
			now := time.Now()
			if got := p.countDetached(now, now.Sub(first)); got != tt.want {
				t.Errorf("%d have been detached since the first round, want %d", got, tt.want)
			}
			if got := p.countDetached(now, 0); got != 2 {
				t.Errorf("%d are detached", got)
			}
		})
	}
}

// Connecting to a member and asking it takes no longer than peerTimeout in all, however the time is spread.
func TestLooksAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fake)
	}{
		{"frozen", func(f *fake) { f.frozen = true }},
		{"each answer is late, though in time", func(f *fake) { f.delay = 200 * time.Millisecond }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.other["b"].set(tt.change)
			s.other["old"].set(tt.change)
			p := s.newRun()
			const slack = 250 * time.Millisecond // less than one more peerTimeout
			bounded := func(what string, most time.Duration, look func() error) {
				t.Helper()
				began := time.Now()
				if err := look(); !redis.Unreachable(err) {
					t.Errorf("%s: error %v, want one of an unreachable redis", what, err)
				}
				if took := time.Since(began); took > most+slack {
					t.Errorf("%s took %s", what, took)
				}
			}
			bounded("parking a member", peerTimeout, func() error { return p.parkPeer(t.Context(), s.view, p.parked[0]) })
			bounded("a look", peerTimeout, func() error { _, err := p.look(t.Context(), s.other["b"].addr); return err })
			facts := oldMasterFacts{view: s.view, old: s.view.State.Master}
			p.Evidence.UnresponsiveRun = "run-old"
			bounded("the first look at the old master", peerTimeout, func() error {
				_, err := p.openOldMaster(t.Context(),
					facts)
				return err
			})
		})
	}
}
