package commands

import (
	"fmt"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// token returns a function that returns the ACL token of the token file, or nil if none is configured. The API itself would
// read the file only once, but a token may be renewed. It returns an error that names the variable if the file cannot be
// read.
func (c *config) token() (func() string, error) {
	file := c.consul.TokenFile
	if file == "" {
		return nil, nil
	}
	c.consul.TokenFile, c.consul.Token = "", ""
	return reloading(c.log, api.HTTPTokenFileEnvName, func() (string, error) {
		token, err := readSecret(file)
		if err != nil {
			return "", fmt.Errorf("invalid %s: %w", api.HTTPTokenFileEnvName, err)
		}
		return token, nil
	})
}

// tokenTransport adds the current token to each request.
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
