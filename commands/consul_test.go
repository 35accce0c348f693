package commands

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
)

// What is asked instead of Consul, or does not answer, is named, and the page of another server is not printed.
func TestConsulHint(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		hint    string
		page    bool
	}{
		{"another server", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, "\n<!DOCTYPE HTML>\n<h1>Error</h1>\n")
		}, "this server does not answer as one", true},
		{"it denies access", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "", false},
		{"it does not answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "does not answer: read its log", false},
	} {
		srv := httptest.NewServer(tt.handler)
		client, err := api.NewClient(&api.Config{Address: srv.URL})
		expect.OK(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, _, err = client.Health().Service("redis", "", false, (&api.QueryOptions{}).WithContext(ctx))
		cancel()
		srv.CloseClientConnections()
		srv.Close()
		if hint := consulHint(err); (hint == "") != (tt.hint == "") || !strings.Contains(hint, tt.hint) {
			t.Errorf("%s: got %q", tt.name, hint)
		}
		if text := withoutPage(err); strings.Contains(text, "<") || strings.HasSuffix(text, "(HTML)") != tt.page {
			t.Errorf("%s: got %q", tt.name, text)
		}
	}
}
