package commands

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// refusedTries is how often an operator's command sends a request that Consul refuses, refusedPause the pause between two tries.
const refusedTries, refusedPause = 5, 200 * time.Millisecond

// operatorClient is client for a command that an operator waits for: a request that Consul refuses is sent again.
func (c *config) operatorClient() (*api.Client, error) {
	client, err := c.client()
	if err == nil {
		c.consul.HttpClient.Transport = patientTransport{c.consul.HttpClient.Transport}
	}
	return client, err
}

// patientTransport sends a request again while Consul refuses it: its rate is limited (429), or, of a read, it has no leader for
// a moment (5xx). It returns the last answer.
type patientTransport struct{ http.RoundTripper }

func (t patientTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		res, err := t.RoundTripper.RoundTrip(r)
		if err != nil || try == refusedTries || !mayRepeat(r, res.StatusCode) {
			return res, err
		}
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return res, nil
			}
		}
		if !paused(r.Context(), refusedPause) {
			return res, nil
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection is used again
		_ = res.Body.Close()
		r = again
	}
}

// mayRepeat reports whether a request was refused, and may be sent again: what it asked for was not carried out.
func mayRepeat(r *http.Request, code int) bool {
	limited, failed := code == http.StatusTooManyRequests, code >= http.StatusInternalServerError
	replayable := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	return replayable && (limited || failed && r.Method == http.MethodGet)
}

// paused reports whether d passed before the context ended.
func paused(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (t patientTransport) CloseIdleConnections() { closeIdle(t.RoundTripper) }
