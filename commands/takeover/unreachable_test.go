package takeover

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// frozen freezes the old master, whose guard closes half a second after the last replica was detached.
func frozen(s *scene) {
	s.other["old"].set(func(f *fake) { f.frozen = true })
	s.view.State.Master.MaxLag = -2
	s.Evidence.UnresponsiveRun = "run-old"
}

func TestRun_OldMasterUnreachable(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	frozen(s)
	began := time.Now()
	if _, err := s.run(); err != nil {
		t.Fatal(err)
	}
	want := []string{StepPeersParked, StepUnreachable, StepGuardClosed, StepChecked, StepPromoted, StepPublished,
		StepWritesEnabled}
	if got := s.steps(); !slices.Equal(got, want) {
		t.Errorf("steps %v, want %v", got, want)
	}
	if took := time.Since(began); took < GuardCloseTime(s.view.State.Master) {
		t.Errorf("it took %s, less than the guard takes to close", took)
	}
	got := s.log.list()
	promoted := slices.Index(got, "me: REPLICAOF NO ONE")
	for _, line := range []string{"me: REPLICAOF 127.0.0.1 1", "b: REPLICAOF 127.0.0.1 1"} {
		if at := slices.Index(got, line); at < 0 || at > promoted {
			t.Errorf("%s is not done before the promotion:\n%s", line, strings.Join(got, "\n"))
		}
	}
	fence, park := slices.Index(got, "old: fence"), slices.Index(got, "old: REPLICAOF 127.0.0.1 1") // once it resumed
	if fence < promoted || park < fence || s.other["old"].status().MasterAddr != s.me.addr {
		t.Errorf("the old master that resumed is not fenced, parked and re-pointed:\n%s", strings.Join(got, "\n"))
	}
}

func TestAwaitGuardProof(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(*scene)
		began   time.Duration // before now: when this takeover began
		waited  time.Duration // before now: when the first round began
		closed  bool
		err     error
		steps   []string
	}{
		{"not long enough", frozen, time.Second, 0, false, nil, []string{StepUnreachable}},
		{"the guard takes no time", func(s *scene) { frozen(s); s.Evidence.StallAllowance = -time.Second }, time.Second, 0,
			true, nil,
			[]string{StepUnreachable, StepGuardClosed}},
		{"elected a moment ago", func(s *scene) { frozen(s); s.Evidence.StallAllowance = -time.Second }, 0, 0, false, nil,
			[]string{StepUnreachable}},
		{"too few members for too long", func(s *scene) { frozen(s); s.other["b"].set(func(f *fake) { f.sticky = true }) },
			time.Minute, proofTimeout, false,
			errGuardUnproven, []string{StepUnreachable}},
		{"reported by its agent", func(s *scene) { frozen(s); s.view.State.Why = cluster.WhyFrozen }, 0, 0, true, nil,
			[]string{StepUnreachable}},
		{"no guard", func(s *scene) { frozen(s); s.view.State.Master.Guard = 0 }, 0, 0, false, errGuardUnproven, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.arrange(s)
			p := s.newRun()
			p.began, p.old.addr = time.Now().Add(-tt.began), s.other["old"].addr
			proof := guardProof{}
			if tt.waited > 0 {
				proof.began = time.Now().Add(-tt.waited)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer p.background.Wait()
			defer cancel()
			closed, err := p.awaitGuardProof(ctx, s.view, s.view.State.Master, &proof)
			if closed != tt.closed || !errors.Is(err, tt.err) {
				t.Errorf("closed %t, error %v", closed, err)
			}
			if got := s.steps(); !slices.Equal(got, tt.steps) {
				t.Errorf("steps %v, want %v", got, tt.steps)
			}
		})
	}
}

// A Redis that denies access may be another cluster's: it is sent no fence.
func TestMarkUnreachable(t *testing.T) {
	for _, denies := range []bool{true, false} {
		s := newScene(t)
		p := s.newRun()
		p.old.addr, p.old.deniesAccess = s.other["old"].addr, denies
		p.markUnreachable(t.Context(), false)
		p.markUnreachable(t.Context(), false) // only once
		p.background.Wait()
		fenced := func() bool { return slices.Contains(s.log.list(), "old: REPLICAOF 127.0.0.1 1") }
		for end := time.Now().Add(time.Second); !denies && !fenced() && time.Now().Before(end); {
			_, _ = p.Self.Redis.Status(t.Context()) // gives the fake time to read what was sent
		}
		if fenced() == denies || s.other["old"].status().Fenced() == denies || len(s.steps()) != 1 {
			t.Errorf("it denies access: %t; fenced: %t; steps %v", denies, fenced(), s.steps())
		}
	}
}

func TestWaitForSlowPeers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(*scene, *parkedPeer)
		until   time.Duration
		parked  bool
		waited  bool // until WaitForSlowUntil
	}{
		{"it answers after all", func(*scene, *parkedPeer) {}, time.Minute, true, false},
		{"no wait is allowed", func(*scene, *parkedPeer) {}, -time.Second, false, false},
		{"it is down", func(_ *scene, m *parkedPeer) { m.err = errRefused }, time.Minute, false, false},
		{"it is parked", func(_ *scene, m *parkedPeer) { m.err = nil }, time.Minute, false, false},
		{"its agent is dead", func(s *scene, _ *parkedPeer) { delete(s.view.LiveAgents, "b") }, time.Minute, false, false},
		{"it never was in sync", func(s *scene,
			_ *parkedPeer) {
			s.view.State.Members["b"] = cluster.MemberRecord{CatchingUp: true}
		}, time.Minute, false, false},
		{"it does not answer in time", func(s *scene, _ *parkedPeer) { s.other["b"].set(func(f *fake) { f.frozen = true }) },
			100 * time.Millisecond, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			p := s.newRun()
			tt.arrange(s, p.parked[0])
			began := time.Now()
			p.Peers.WaitForSlowUntil = began.Add(tt.until)
			if err := p.waitForSlowPeers(t.Context(), s.view); err != nil {
				t.Error(err)
			}
			if got := s.other["b"].status().Parked(); got != tt.parked {
				t.Errorf("parked: %t", got)
			}
			if waited := time.Since(began) >= 100*time.Millisecond; tt.waited && !waited || time.Since(began) > 5*time.Second {
				t.Errorf("it took %s", time.Since(began))
			}
		})
	}
	s := newScene(t)
	s.other["b"].set(func(f *fake) { f.frozen = true })
	p := s.newRun()
	p.Peers.WaitForSlowUntil = time.Now().Add(time.Minute)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrLost)
	if err := p.waitForSlowPeers(ctx, s.view); !errors.Is(err, ErrLost) {
		t.Errorf("after the lock was lost: %v", err)
	}
}

func TestParkPeer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*fake)
		err     error
		justNow bool
	}{
		{"it streams", func(*fake) {}, nil, true},
		{"it is parked already", func(f *fake) { f.st.MasterAddr, f.st.LinkUp = redis.Sink, false }, nil, false},
		{"another redis", func(f *fake) { f.st = redis.Status{RunID: "x", Position: redis.Position{ReplID: "z"}} },
			cluster.ErrOtherInstance, false},
		{"it stays where it is", func(f *fake) { f.sticky = true }, errAny, true},
	} {
		s := newScene(t)
		s.other["b"].set(tt.change)
		p := s.newRun()
		m := p.parked[0]
		m.parkedJustNow = !tt.justNow
		err := p.parkPeer(t.Context(), s.view, m)
		if (err == nil) != (tt.err == nil) || tt.err != errAny && !errors.Is(err, tt.err) || m.parkedJustNow != tt.justNow {
			t.Errorf("%s: error %v, parked just now: %t", tt.name, err, m.parkedJustNow)
		}
		if tt.err == nil && !m.status.Parked() {
			t.Errorf("%s: %+v", tt.name, m.status)
		}
	}
}

// If this process is to stop after the old master was parked, it finishes: no other Redis accepts writes.
func TestRun_StopAfterTheOldMasterIsParked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.other["old"].set(func(f *fake) {
		f.onChange = func(line string, _ *fake) {
			if line == "REPLICAOF 127.0.0.1 1" {
				cancel()
			}
		}
	})
	s.start()
	done, err := s.Run(ctx, s.view)
	if err != nil || s.me.status().Fenced() || !s.me.status().Master {
		t.Errorf("error %v, our redis %+v", err, s.me.status())
	}
	if b := s.other["b"].status(); b.MasterAddr != s.me.addr { // before Run returns
		t.Errorf("b follows %s", b.MasterAddr)
	}
	done.Wait()
}

// If this process is to stop before, what was done to the old master is undone.
func TestRun_StopWhileTheOldMasterIsDrained(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.other["old"].set(func(f *fake) {
		f.onChange = func(line string, _ *fake) {
			if line == "fence" {
				cancel()
			}
		}
	})
	s.start()
	done, err := s.Run(ctx, s.view)
	done.Wait()
	got := s.log.list()
	if old := s.other["old"].status(); err == nil || old.Fenced() || !old.Master || !slices.Contains(got, "old: CLIENT UNPAUSE") {
		t.Errorf("error %v, the old master %+v:\n%s", err, old, strings.Join(got, "\n"))
	}
	if s.me.status().Master {
		t.Error("our redis is a master")
	}
}

// However often a round is made, the wait for the guard is logged once.
func TestAwaitGuardProof_LoggedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	frozen(s)
	var log bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	p := s.newRun()
	p.began, p.old.addr = time.Now().Add(-time.Second), s.other["old"].addr
	ctx, cancel := context.WithCancel(t.Context())
	defer p.background.Wait()
	defer cancel()
	var proof guardProof
	for range 2 {
		if closed, err := p.awaitGuardProof(ctx, s.view, s.view.State.Master, &proof); closed || err != nil {
			t.Fatalf("closed %t, error %v", closed, err)
		}
	}
	if n := strings.Count(log.String(), "event=old_master_guard_wait"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}
