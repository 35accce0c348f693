package takeover

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
