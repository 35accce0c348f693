package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// fakeConsul is a Consul agent in memory. It is reached without a network, so it can be used in a bubble of testing/synctest.
type fakeConsul struct {
	// fate, if not nil, is what happens to a call; n counts the calls from 0.
	fate func(n int, call string) fate

	mu       sync.Mutex
	began    time.Time
	calls    []string // when each came, and what it was
	service  *api.AgentServiceRegistration
	check    struct{ Status, Output string } // the last one of the check
	entries  map[string][]*api.ServiceEntry  // by the service's name
	filtered bool                            // whether the ACL hides some of the entries
	txn      string                          // the answer to a transaction; empty: it is carried out
	ops      api.TxnOps                      // all that came
	updates  []time.Duration                 // when the check was updated
}

// fate is what happens to a call. The zero value: it is carried out at once.
type fate struct {
	delay   time.Duration // until it is carried out and answered
	late    time.Duration // until the answer; it is carried out at once
	code    int           // HTTP status of the answer, if it is an error
	refused bool          // there is no answer
}

// callNames shortens the paths of Consul's API to what the calls do.
var callNames = strings.NewReplacer("/v1/agent/service/r-1", "read", "/v1/agent/service/", "", "/v1/agent/check/", "",
	"/v1/health/service/", "", "/v1/", "", "/service:r-1", "", "/r-1", "")

var errRefused = errors.New("connection refused")

// newFakeConsul returns an agent and a client of it.
func newFakeConsul(t *testing.T) (*fakeConsul, *api.Client) {
	t.Helper()
	f := &fakeConsul{began: time.Now(), entries: map[string][]*api.ServiceEntry{}}
	client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return f, client
}

// RoundTrip implements http.RoundTripper.
func (f *fakeConsul) RoundTrip(r *http.Request) (*http.Response, error) {
	call := callNames.Replace(r.URL.Path)
	what := f.count(call)
	timer := time.NewTimer(what.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if what.refused {
		return nil, errRefused
	}
	w := httptest.NewRecorder()
	if what.code != 0 {
		http.Error(w, "no", what.code)
		return w.Result(), nil
	}
	f.change(func(f *fakeConsul) { f.serve(w, r, call) })
	if what.late == 0 {
		return w.Result(), nil
	}
	select {
	case <-time.After(what.late):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

func (f *fakeConsul) count(call string) fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.calls)
	f.calls = append(f.calls, fmt.Sprint(time.Since(f.began).Round(time.Millisecond), " ", call))
	if f.fate == nil {
		return fate{}
	}
	return f.fate(n, call)
}

func (f *fakeConsul) serve(w http.ResponseWriter, r *http.Request, call string) {
	decode := func(v any) {
		if err := json.NewDecoder(r.Body).Decode(v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
	switch {
	case r.URL.Query().Has("passing"):
		http.Error(w, "entries are wanted whatever their health", http.StatusBadRequest)
	case call == "txn":
		var ops api.TxnOps
		decode(&ops)
		f.ops = append(f.ops, ops...)
		if f.txn != "" {
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = fmt.Fprint(w, cmp.Or(f.txn, "{}"))
	case call == "register":
		f.service = new(api.AgentServiceRegistration)
		decode(f.service)
	case f.entries[call] != nil:
		w.Header().Set("X-Consul-LastContact", "0")
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", fmt.Sprint(f.filtered))
		_ = json.NewEncoder(w).Encode(f.entries[call])
	case f.service == nil:
		http.Error(w, "unknown service", http.StatusNotFound)
	case call == "read":
		_ = json.NewEncoder(w).Encode(&api.AgentService{Service: f.service.Name, Tags: f.service.Tags, Meta: f.service.Meta,
			Address: f.service.Address, Port: f.service.Port})
	case call == "update":
		f.updates = append(f.updates, time.Since(f.began))
		decode(&f.check)
	case call == "deregister":
		f.service = nil
	}
}

// change changes the agent's data, as another client of it would.
func (f *fakeConsul) change(how func(*fakeConsul)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(f)
}

var _ http.RoundTripper = (*fakeConsul)(nil)
