package commands

import (
	"context"
	"errors"
	"net/http"
)

// count calls failed for each call to Consul that fails.
func (c *config) count(failed func()) {
	c.consul.HttpClient.Transport = countingTransport{c.consul.HttpClient.Transport, failed}
}

// countingTransport calls failed for each request that fails.
type countingTransport struct {
	http.RoundTripper
	failed func()
}

func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	switch {
	case err == nil && failedStatus(res.StatusCode):
		t.failed()
	case err != nil && !errors.Is(r.Context().Err(), context.Canceled):
		t.failed()
	}
	return res, err
}

// failedStatus reports whether an answer of Consul is a failure: denied, limited, or an error of its own. 404 and 409 are
// answers.
func failedStatus(code int) bool {
	return code >= 500 || code == http.StatusForbidden || code == http.StatusTooManyRequests
}

func (t countingTransport) CloseIdleConnections() { closeIdle(t.RoundTripper) }

// closeIdle passes CloseIdleConnections on to a transport, which http.Client does not do for a wrapped one.
func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
