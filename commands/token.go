package commands

import (
	"fmt"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// token is the ACL token that stands in a file; nil where none does. The API would read that once, and a token may be renewed.
func (c *config) token() (func() string, error) {
	file := c.consul.TokenFile
	if file == "" {
		return nil, nil
	}
	c.consul.TokenFile, c.consul.Token = "", ""
	return reloading(c.log, func() (string, error) {
		s, err := secret(file)
		if err != nil {
			return "", fmt.Errorf("invalid %s: %w", api.HTTPTokenFileEnvName, err)
		}
		return s, nil
	})
}

// tokenTransport gives each call the token of this moment.
type tokenTransport struct {
	http.RoundTripper
	token func() string
}

func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Consul-Token", t.token())
	return t.RoundTripper.RoundTrip(r)
}

func (t tokenTransport) CloseIdleConnections() { closeIdle(t.RoundTripper) }
