package metrics

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scrape returns the samples of a scrape, without the comments.
func scrape(m *Metrics, now Now) (lines []string) {
	w := httptest.NewRecorder()
	m.Serve(w, httptest.NewRequest("GET", "/metrics", nil), now)
	for line := range strings.Lines(w.Body.String()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestMetrics_BeginWithZero(t *testing.T) {
	n := int64(41)
	want := []string{
		"resec_consul_errors_total 0", "resec_fences_total 0", "resec_healthy 1", `resec_hook_failures_total{hook="fence"} 0`,
		`resec_hook_failures_total{hook="promote"} 0`, `resec_hook_failures_total{hook="replicate"} 0`,
		"resec_lease_left_seconds 1.5", "resec_parks_total 0", "resec_promotions_total 0", "resec_redis_errors_total 0",
		"resec_redis_refuses_clients 1", "resec_replication_behind_bytes 41",
		"resec_replication_offset_bytes 41",
		`resec_role{role="master"} 0`, `resec_role{role="replica"} 1`, `resec_role{role="unknown"} 0`, "resec_term 7",
	}
	got := scrape(New(), Now{Role: "replica", Healthy: true, Term: 7, Lease: 1500 * time.Millisecond, Offset: &n, Behind: &n,
		RefusesClients: true})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMetrics_UnknownGaugesAreAbsent(t *testing.T) {
	got := strings.Join(scrape(New(), Now{}), "\n")
	if strings.Contains(got, "replication") || !strings.Contains(got, `resec_role{role="unknown"} 1`) {
		t.Error(got)
	}
}

// Counting is safe from several goroutines at once.
func TestMetrics_Counts(t *testing.T) {
	m := New()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			m.Promoted()
			m.Fenced()
			m.Parked()
			m.HookFailed("promote")
			m.ConsulError()
			m.RedisError()
			m.Step("step", 3*time.Millisecond)
		})
	}
	all.Wait()
	got := strings.Join(scrape(m, Now{}), "\n")
	for _, want := range []string{"resec_promotions_total 10", "resec_fences_total 10", "resec_parks_total 10",
		`resec_hook_failures_total{hook="promote"} 10`,
		"resec_consul_errors_total 10", "resec_redis_errors_total 10",
		`resec_takeover_step_duration_seconds_count{step="step"} 10`,
		`resec_takeover_step_duration_seconds_bucket{step="step",le="0.0025"} 0`,
		`resec_takeover_step_duration_seconds_bucket{step="step",le="0.005"} 10`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestMetrics_NilCountsNothing(t *testing.T) {
	var m *Metrics
	m.Promoted()
	m.Fenced()
	m.Parked()
	m.HookFailed("promote")
	m.ConsulError()
	m.RedisError()
	m.Step("step", time.Second)
}
