package takeover

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

func TestParkSelf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fake)
		parks  bool
	}{
		{"a replica", func(*fake) {}, true},
		{"a master", func(f *fake) { f.st.Master = true }, false},
		{"parked already", func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false }, false},
	} {
		s := newScene(t)
		s.me.set(tt.change)
		if err := s.parkSelf(t.Context()); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := slices.Contains(s.log.list(), "me: REPLICAOF 127.0.0.1 1"); got != tt.parks {
			t.Errorf("%s: parks %t", tt.name, got)
		}
	}
}

// Our Redis is parked before the promotion, because another Redis may come up at the old master's address.
func TestDetachSelf(t *testing.T) {
	for _, tt := range []struct {
		name      string
		oldParked bool
		ownRun    string
		parks     bool
	}{
		{"the old master is not parked", false, "run-me", true},
		{"the old master is parked", true, "run-me", false},
		{"our redis is the published master", false, "run-old", false},
	} {
		s := newScene(t)
		p := s.newRun()
		p.old.parked = tt.oldParked
		if err := p.detachSelf(t.Context(), s.view, tt.ownRun); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := s.me.status().Parked(); got != tt.parks {
			t.Errorf("%s: parked %t", tt.name, got)
		}
	}
}

func TestRefuseIfServing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(*scene)
		refuses bool
	}{
		{"the old master answers", func(s *scene) { s.other["old"].set(func(f *fake) { f.denied = false }) }, false},
		{"our redis streams from it", func(*scene) {}, true},
		{"only a member streams from it", func(s *scene) { s.me.set(func(f *fake) { f.st.LinkUp = false }) }, true},
		{"only a redis that is no member streams from it", func(s *scene) {
			s.me.set(func(f *fake) { f.st.LinkUp = false })
			s.other["b"].set(func(f *fake) { f.st.RunID, f.st.Position.ReplID = "x", "zzzz" })
		}, false},
		{"no redis streams from it", func(s *scene) {
			s.me.set(func(f *fake) { f.st.LinkUp = false })
			s.other["b"].set(func(f *fake) { f.st.LinkUp = false })
		}, false},
	} {
		s := newScene(t)
		s.other["old"].set(func(f *fake) { f.denied = true })
		tt.arrange(s)
		p := s.newRun()
		v, looked, err := p.locateOldMaster(t.Context(), s.view, s.me.status())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.refuseIfServing(t.Context(), v, s.me.status(), looked); (err != nil) != tt.refuses {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A member that is too slow for the first look is asked again.
func TestWaitForSlowPeers_SecondLook(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := true
	s.other["b"].set(func(f *fake) {
		f.slow = func(line string) time.Duration {
			if line == "INFO" && first {
				first = false
				return peerTimeout * 3 / 2
			}
			return 0
		}
	})
	p := s.newRun()
	p.Peers.WaitForSlowUntil = time.Now().Add(time.Minute)
	if err := p.waitForSlowPeers(t.Context(), s.view); err != nil || !s.other["b"].status().Parked() {
		t.Errorf("error %v, b is %+v", err, s.other["b"].status())
	}
}

// While the link of our Redis is down it has not caught up, whatever its offset says.
func TestSyncFrom_LinkComesUpLate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.me.set(func(f *fake) {
		f.onChange = func(line string, f *fake) {
			if strings.HasPrefix(line, "REPLICAOF") {
				f.st.LinkUp = false
			}
		}
	})
	s.other["b"].set(func(f *fake) {
		f.slow = func(line string) time.Duration {
			if line == "INFO" && s.me.status().MasterAddr == s.other["b"].addr { // is it still the same instance?
				s.me.set(func(f *fake) { f.st.LinkUp = true })
			}
			return 0
		}
	})
	p := s.newRun()
	if err := p.openPeer(t.Context(), p.parked[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := p.syncFrom(t.Context(), p.parked[0], redis.Status{RunID: "run-b", Position: history}); err != nil ||
		!s.me.status().LinkUp {
		t.Errorf("error %v, our redis %+v", err, s.me.status())
	}
}

// A member that this host could not ask at last may hold newer data: the takeover does not continue without it.
func TestWaitForSlowPeers_Exhausted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		fails bool
	}{
		{"no descriptors are left", fmt.Errorf("dial: %w", syscall.EMFILE), true},
		{"it refuses connections", fmt.Errorf("dial: %w", syscall.ECONNREFUSED), false},
		{"it is parked", nil, false},
	} {
		for _, until := range []time.Time{{}, time.Now().Add(time.Minute)} {
			s := newScene(t)
			p := s.newRun()
			p.parked[0].err, p.Peers.WaitForSlowUntil = tt.err, until
			if err := p.waitForSlowPeers(t.Context(), s.view); (err != nil) != tt.fails || tt.fails && !redis.Exhausted(err) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

// A detached Redis attaches to an old master that may still write, whatever that refuses: what it writes until it is paused is
// needed here.
func TestAttachToOld(t *testing.T) {
	t.Parallel()
	behind := history
	behind.Offset--
	for _, tt := range []struct {
		name    string
		code    redis.RefusalCode // of the old master
		own     redis.Position
		attach  bool
		streams bool // our Redis already streams from it
	}{
		{"it refuses nothing", "", history, true, false},
		{"our redis streams from it", "", history, false, true},
		{"OOM: DEL is still executed", redis.RefusalMemory, history, true, false},
		{"it is shutting down", redis.RefusalShutdown, history, true, false},
		{"its clients are paused", redis.RefusalPaused, history, true, false},
		{"MISCONF: no replica can attach", redis.RefusalDisk, history, false, false},
		{"MISCONF, and our redis lacks data", redis.RefusalDisk, behind, true, false},
	} {
		s := newScene(t)
		old := s.other["old"]
		s.me.set(func(f *fake) {
			f.st.Position = tt.own
			if !tt.streams {
				f.st.MasterAddr, f.st.LinkUp = redis.Sink, false
			}
		})
		master := old.status()
		if tt.code != "" {
			master.Refusals = []redis.Refusal{{Code: tt.code, Text: "it refuses writes", Now: true}}
		}
		p := s.newRun()
		if err := p.attachToOld(t.Context(), s.view.State.Master, s.me.status(), master); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		host, port, _ := strings.Cut(old.addr, ":")
		if got := slices.Contains(s.log.list(), "me: REPLICAOF "+host+" "+port); got != tt.attach {
			t.Errorf("%s: attached %t", tt.name, got)
		}
	}
}

// A member that may never be promoted, and that our Redis cannot catch up from, keeps nobody that is in sync from leading.
func TestGivenUp(t *testing.T) {
	full := []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}
	for _, tt := range []struct {
		name     string
		e        cluster.Eligibility
		priority int
		change   func(*redis.Status)
		failed   int
		want     bool
	}{
		{"it can be caught up from", cluster.RecordedOnly, 0, func(*redis.Status) {}, 0, false},
		{"one try has failed", cluster.RecordedOnly, 0, func(*redis.Status) {}, 1, false},
		{"two tries have failed", cluster.RecordedOnly, 0, func(*redis.Status) {}, 2, true},
		{"it refuses replicas", cluster.RecordedOnly, 0, func(st *redis.Status) { st.Refusals = full }, 0, true},
		{"its full sync cannot be read", cluster.RecordedOnly, 0,
			func(st *redis.Status) { st.Version, st.Position.ReplID = "8.0.2", "another" }, 0, true},
		{"it may lead itself", cluster.RecordedOnly, 100, func(*redis.Status) {}, 2, false},
		{"no other member is in sync", cluster.AnyMember, 0, func(*redis.Status) {}, 2, false},
	} {
		s := newScene(t)
		p := s.newRun()
		p.eligibility, p.Peers.FailedSources = tt.e, map[string]int{"run-b": tt.failed}
		own := redis.Status{RunID: "run-me", Version: "7.0.15", Keys: 1, Position: redis.Position{ReplID: "h", Offset: 100}}
		st := own
		st.RunID, st.Priority, st.Position.Offset = "run-b", tt.priority, 110
		tt.change(&st)
		m := &parkedPeer{RecordedPeer: RecordedPeer{ID: "b"}, status: st}
		if got := p.givenUp(s.view, m, own); got != tt.want {
			t.Errorf("%s: given up %t", tt.name, got)
		}
	}
}
