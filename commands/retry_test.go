package commands

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"resec/commands/expect"
)

// What Consul refuses is sent again, with its body; what it may have carried out is not.
func TestPatientTransport(t *testing.T) {
	const limited = -503
	operator, agent := operatorPatience, agentPatience
	operator.pause, agent.pause = time.Millisecond, time.Millisecond
	for _, tt := range []struct {
		name, method string
		by           patience
		codes        []int // of the answers, one after the other; then 200
		want         int   // requests
		code         int
	}{
		{"it answers", "GET", operator, nil, 1, 200},
		{"its rate is limited", "GET", operator, []int{429}, 2, 200},
		{"it has no leader for a moment", "GET", operator, []int{500, 503}, 3, 200},
		{"a write is refused", "PUT", operator, []int{429}, 2, 200},
		{"a write that may have been carried out", "PUT", operator, []int{500}, 1, 500},
		{"it denies access", "GET", operator, []int{403}, 1, 403},
		{"it is not there", "GET", operator, []int{404}, 1, 404},
		{"it refuses again and again", "GET", operator, []int{429, 429, 429, 429, 429, 429}, operator.tries, 429},
		{"its leader's rate is limited, and an agent asks", "PUT", agent, []int{limited, limited}, 3, 200},
		{"it has no leader, and an agent writes", "PUT", agent, []int{503}, 1, 503},
		{"its rate is limited, and an agent asks", "GET", agent, []int{429, 429}, 3, 200},
		{"it has no leader for a moment, and an agent asks", "GET", agent, []int{500}, 1, 500},
		{"it refuses an agent's write again and again", "PUT", agent, []int{429, 429, 429, 429, 429, 429}, agent.tries, 429},
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if requests++; r.Method == "PUT" && string(body) != "text" {
				t.Errorf("%s: the body is %q", tt.name, body)
			}
			if requests <= len(tt.codes) {
				code := tt.codes[requests-1]
				if code == limited {
					http.Error(w, "rate limit exceeded for operation that can only be performed by the leader, try again later", http.StatusServiceUnavailable)
					return
				}
				w.WriteHeader(code)
			}
		}))
		var body io.Reader
		if tt.method == "PUT" {
			body = strings.NewReader("text")
		}
		r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, body)
		expect.OK(t, err)
		res, err := patientTransport{http.DefaultTransport, tt.by}.RoundTrip(r)
		expect.OK(t, err)
		_ = res.Body.Close()
		server.Close()
		if requests != tt.want || res.StatusCode != tt.code {
			t.Errorf("%s: %d requests, %d", tt.name, requests, res.StatusCode)
		}
	}
}

// The tries end with the deadline of the call, and the caller gets Consul's own answer.
func TestPatientTransport_Deadline(t *testing.T) {
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, srv.URL, nil)
	expect.OK(t, err)
	slow := agentPatience
	slow.pause = time.Minute
	res, err := patientTransport{http.DefaultTransport, slow}.RoundTrip(req)
	expect.OK(t, err)
	expect.OK(t, res.Body.Close())
	expect.Equal(t, "code", res.StatusCode, http.StatusTooManyRequests)
	expect.Equal(t, "requests", requests, 1)
}
