package commands

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"resec/commands/expect"
)

// What Consul refuses is sent again, with its body; what it may have carried out is not.
func TestPatientTransport(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		codes        []int // of the answers, one after the other; then 200
		want         int   // requests
		code         int
	}{
		{"it answers", "GET", nil, 1, 200},
		{"its rate is limited", "GET", []int{429}, 2, 200},
		{"it has no leader for a moment", "GET", []int{500, 503}, 3, 200},
		{"a write is refused", "PUT", []int{429}, 2, 200},
		{"a write that may have been carried out", "PUT", []int{500}, 1, 500},
		{"it denies access", "GET", []int{403}, 1, 403},
		{"it is not there", "GET", []int{404}, 1, 404},
		{"it refuses again and again", "GET", []int{429, 429, 429, 429, 429, 429}, refusedTries, 429},
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if requests++; r.Method == "PUT" && string(body) != "text" {
				t.Errorf("%s: the body is %q", tt.name, body)
			}
			if requests <= len(tt.codes) {
				w.WriteHeader(tt.codes[requests-1])
			}
		}))
		var body io.Reader
		if tt.method == "PUT" {
			body = strings.NewReader("text")
		}
		r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, body)
		expect.OK(t, err)
		res, err := patientTransport{http.DefaultTransport}.RoundTrip(r)
		expect.OK(t, err)
		_ = res.Body.Close()
		server.Close()
		if requests != tt.want || res.StatusCode != tt.code {
			t.Errorf("%s: %d requests, %d", tt.name, requests, res.StatusCode)
		}
	}
}
