package takeover

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// The order of commands while the old master answers is the protocol.
func TestRun_OldMasterAnswers(t *testing.T) {
	s := newScene(t)
	v, err := s.run()
	if err != nil {
		t.Fatal(err)
	}
	meHost, mePort, _ := strings.Cut(s.me.addr, ":")
	want := []string{
		"b: REPLICAOF 127.0.0.1 1",
		"old: CLIENT PAUSE 4000 WRITE",
		"old: fence",
		"consul: read",
		"old: REPLICAOF 127.0.0.1 1",
		"me: fence",
		"me: REPLICAOF NO ONE",
		"consul: write master me term 5",
	}
	got := s.log.list()
	for i, line := range got { // a fence with a lag of 0 sets that, too
		got[i] = strings.TrimSpace(line)
	}
	got = slices.DeleteFunc(got, func(line string) bool { return strings.Contains(line, "min-replicas-max-lag 10") })
	if d := cmp.Diff(want, got[:min(len(want), len(got))]); d != "" {
		t.Error(d)
	}
	rest := got[min(len(want), len(got)):]
	for _, line := range []string{"b: REPLICAOF " + meHost + " " + mePort, "old: REPLICAOF " + meHost + " " + mePort,
		"old: CLIENT UNPAUSE",
		"me: CONFIG SET min-replicas-to-write 1", "me: CONFIG SET min-replicas-max-lag 5"} {
		if !slices.Contains(rest, line) {
			t.Errorf("not done after the publication: %s\n%s", line, strings.Join(rest, "\n"))
		}
	}
	if m := v.State.Master; m.ID != "me" || m.Term != 5 || m.RunID != "run-me" || m.Guard != 1 || m.MaxLag != 5 ||
		v.State.Service != "redis-master" {
		t.Errorf("published: %+v", m)
	}
	if old := s.other["old"].status(); old.Fenced() || old.MasterAddr != s.me.addr {
		t.Errorf("the old master: %+v", old)
	}
	steps := []string{StepPeersParked, StepPaused, StepFenced, StepDrained, StepParked, StepChecked, StepPromoted,
		StepPublished, StepWritesEnabled}
	if d := cmp.Diff(steps, s.steps()); d != "" {
		t.Error(d)
	}
}

// descriptors returns a function that uses up the descriptors of this process, and one that ends that. A test that calls it is
// not parallel.
func descriptors(t *testing.T) (exhaust, restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore = func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }
	t.Cleanup(restore)
	return func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}) }, restore
}

// The descriptors of this host are used up once the old master has answered as a replica. It may hold newer data, so the takeover
// does not continue without it.
func TestStopOldMaster_ExhaustedMeanwhile(t *testing.T) {
	exhaust, restore := descriptors(t)
	s := newScene(t)
	s.other["old"].set(func(f *fake) {
		f.st = replicaOf(redis.Sink)
		f.st.RunID = "run-old"
		f.slow = func(line string) time.Duration {
			if line == "INFO" {
				exhaust()
			}
			return 0
		}
	})
	p := s.newRun()
	p.parked = nil
	err := p.stopOldMaster(t.Context(), s.view, s.me.status())
	restore()
	if !redis.Exhausted(err) {
		t.Errorf("got %v", err)
	}
}

// A server that answers, and that only our Redis names because it replicates from it, is left alone unless an operator forces a
// failover.
func TestStopOldMaster_Unnamed(t *testing.T) {
	t.Parallel()
	for _, forced := range []bool{false, true} {
		s := newScene(t)
		s.view.State = cluster.State{}
		s.Evidence.FollowsUnnamed = true
		if forced {
			s.Operator.ForcedFailover = &cluster.Request{To: "me"}
		}
		s.start()
		p := s.newRun()
		err := p.stopOldMaster(t.Context(), s.view, s.me.status())
		parked := s.other["old"].status().Parked()
		if (err == nil) != forced || parked != forced {
			t.Errorf("forced %t: it is parked: %t, error %v", forced, parked, err)
		}
		if !forced && !strings.Contains(err.Error(), "is no member") {
			t.Errorf("the error does not name the way out: %v", err)
		}
	}
}
