package status

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// A member that does not answer where the catalogue has it is shown at the address where its run answers.
func TestProbe_OtherAddress(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("b")
	if err != nil {
		t.Fatal(err)
	}
	runID, err := r.Info("run_id")
	if err != nil {
		t.Fatal(err)
	}
	gone := lab.Host() + ":6379" // nothing listens there
	for run, want := range map[string]string{runID: r.Addr, "run-of-another": gone} {
		v := cluster.View{State: cluster.State{Members: map[string]cluster.MemberRecord{"b": {RunID: run, Address: r.Addr}}}}
		got := Probe(t.Context(), []cluster.Member{{ID: "b", Address: gone}}, v, redis.Options{Timeout: 10 * time.Second})
		if len(got) != 1 || got[0].Address != want || (got[0].Err == nil) != (want == r.Addr) {
			t.Errorf("recorded as %s: %+v", run, got)
		}
	}
}
