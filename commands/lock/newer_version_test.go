package lock

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers"
)

const newerText = "read the state at k/state: the state was written by a newer resec: its version is 2, " +
	"this resec knows version 1; upgrade resec on this host"

// newerState is a read of a state of version 2, whose fields have another shape, while session "ours" holds the lock.
func newerState() cluster.View {
	return parse("k", 9, api.KVPairs{{Key: "k", Flags: Flag, Session: "ours", Value: []byte("a"), ModifyIndex: 5},
		{Key: "k/state", Value: []byte(`{"service":["s"],"master":"b","chain":{},"version":2}`), ModifyIndex: 8}})
}

// The error is one line.
func TestParse_NewerVersion(t *testing.T) {
	v := newerState()
	if !errors.Is(v.Err, cluster.ErrNewerVersion) || v.Err.Error() != newerText {
		t.Errorf("got %v", v.Err)
	}
	if d := cmp.Diff(cluster.State{}, v.State); d != "" || v.StateIndex != 8 || v.Session != "ours" {
		t.Errorf("the view is %+v", v)
	}
}

// consulThat answers each request with a handler, and returns a client of it.
func consulThat(t *testing.T, answers http.HandlerFunc) *api.Client {
	t.Helper()
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	client, err := api.NewClient(&api.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// No write replaces a state of a newer version, whoever holds the lock, and none reaches Consul.
func TestNewerVersion_IsNotWritten(t *testing.T) {
	client := consulThat(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("consul was asked: %s %s", r.Method, r.URL) })
	l := Lock{Client: client, Key: "k", Member: "a", LastKnown: &LastKnownState{}}
	v := newerState()
	s := cluster.State{Service: "s", Master: &cluster.Master{Peer: handlers.Peer{ID: "a", Address: "a:1", Term: 7}}}
	for name, write := range map[string]func() error{
		"acquire":  func() error { _, err := l.Acquire(t.Context(), "ours", v, s); return err },
		"write":    func() error { _, err := l.Write(t.Context(), "ours", v, s); return err },
		"transfer": func() error { _, err := l.Transfer(t.Context(), "ours", v, "b", s); return err },
		"release":  func() error { return l.ReleaseWithReason(t.Context(), "ours", v, cluster.WhyLeaving) },
	} {
		if err := write(); !errors.Is(err, cluster.ErrNewerVersion) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s returns %v", name, err)
		}
	}
}

// The lock itself can be released: only the key of the lock is written.
func TestNewerVersion_LockIsReleased(t *testing.T) {
	var verbs []string
	client := consulThat(t, func(w http.ResponseWriter, r *http.Request) {
		var ops []struct{ KV struct{ Verb, Key string } }
		if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
			t.Error(err)
		}
		for _, op := range ops {
			verbs = append(verbs, op.KV.Verb+" "+op.KV.Key)
		}
		_, _ = io.WriteString(w, `{"Results":[],"Errors":null}`)
	})
	l := Lock{Client: client, Key: "k", Member: "a"}
	if err := l.Release(t.Context(), "ours", newerState(), cluster.WhyLeaving); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"unlock k"}, verbs); d != "" {
		t.Error(d)
	}
}

// The session of a holder is not destroyed for a lock whose state could not be written.
func TestNewerVersion_IsNotPreempted(t *testing.T) {
	client := consulThat(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("consul was asked: %s %s", r.Method, r.URL)
		}
		w.Header().Set("X-Consul-Index", "9")
		err := json.NewEncoder(w).Encode(api.KVPairs{{Key: "k", Flags: Flag, Session: "theirs", Value: []byte("b"), ModifyIndex: 5},
			{Key: "k/state", Value: []byte(`{"version":2}`), ModifyIndex: 8}})
		if err != nil {
			t.Error(err)
		}
	})
	l := Lock{Client: client, Key: "k", Member: "a", LastKnown: &LastKnownState{}}
	_, err := l.Preempt(t.Context(), "ours", cluster.View{Index: 9, LockIndex: 5, StateIndex: 8, Session: "theirs", Holder: "b"},
		cluster.State{})
	if !errors.Is(err, cluster.ErrNewerVersion) {
		t.Errorf("got %v", err)
	}
}
