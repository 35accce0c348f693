package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"resec/commands/metrics"
	"resec/commands/report"
)

// Every request gets one of the known statuses, and /replica never answers 200 for a replica that is too far behind.
func FuzzPaths(f *testing.F) {
	f.Add("GET", "/replica", "max_lag_bytes=99")
	f.Add("GET", "/../status", "%zz")
	f.Add("POST", "/health", "max_lag_bytes=-1&max_lag_bytes=1000")
	status := func(context.Context) (any, error) { return "", nil }
	m := NewMember(metrics.New(), status, slog.New(slog.DiscardHandler))
	m.SetReporter(func(context.Context, bool) report.Report { return linked() })
	paths := m.Endpoints(f.Context()).routes()
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		w := httptest.NewRecorder()
		paths.ServeHTTP(w, r)
		limits := r.URL.Query()["max_lag_bytes"]
		if path == "/replica" && w.Code == http.StatusOK && len(limits) == 1 {
			if n, err := strconv.Atoi(limits[0]); err == nil && n < 100 {
				t.Errorf("100 bytes behind is %d for %q", w.Code, query)
			}
		}
		switch w.Code {
		case 200, 301, 307, 308, 400, 404, 405, 503:
		default:
			t.Errorf("%s %q: %d", method, path, w.Code)
		}
	})
}
