package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	consul "github.com/hashicorp/consul/api/watch"

	"resec/commands/expect"
)

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 3: 200 * time.Millisecond, 4: 400 * time.Millisecond,
		5: 800 * time.Millisecond, 6: time.Second, 7: time.Second, 64: time.Second, 1 << 30: time.Second,
	} {
		if got := backoff(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestCall_AfterAnEarlyStop(t *testing.T) {
	panics := func(*consul.Plan) (consul.BlockingParamVal, any, error) { panic("no cancel function") }
	parse := func() *consul.Plan {
		p, err := consul.Parse(map[string]any{"type": "nodes"})
		expect.OK(t, err)
		return p
	}
	t.Run("the panic of a stopped plan becomes an error", func(t *testing.T) {
		p := parse()
		p.Stop()
		if _, _, err := call(panics, p); err == nil || err.Error() != "stopped" {
			t.Errorf("got %v, want stopped", err)
		}
	})
	t.Run("any other panic is passed on", func(t *testing.T) {
		defer func() {
			if r := recover(); r != "no cancel function" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, _, err := call(panics, parse())
		t.Errorf("it returned %v", err)
	})
}

func TestRun_ReportsAnOutageOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var queries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := queries.Add(1); {
		case n == 1, n == 5: // the same answer before and after the outage
			w.Header().Set("X-Consul-Index", "7")
			_, _ = fmt.Fprint(w, `[{"Key":"k","Value":"djE="}]`)
		case n < 5:
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
		default:
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	client, err := api.NewClient(&api.Config{Address: server.URL})
	expect.OK(t, err)
	var got []string
	err = Run(ctx, client, map[string]any{"type": "keyprefix", "prefix": "k"}, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		got = append(got, fmt.Sprintf("%d %s=%s", index, pairs[0].Key, pairs[0].Value))
		if len(got) == 4 {
			cancel()
		}
	}, func(err error) {
		got = append(got, fmt.Sprint("outage: ", err != nil))
	})
	if err != nil {
		t.Error(err)
	}
	// The first answer after an outage is passed on although it is unchanged: changes may have been missed.
	if d := cmp.Diff([]string{"7 k=v1", "outage: true", "outage: false", "7 k=v1"}, got); d != "" {
		t.Error(d)
	}
}

func TestRun_InvalidParameters(t *testing.T) {
	onAnswer, onOutage := func(uint64, any) {}, func(error) {}
	err := Run(t.Context(), nil, map[string]any{"type": "nothing"}, onAnswer, onOutage)
	if err == nil || err.Error() != "watch: Unsupported watch type: nothing" {
		t.Errorf("got %v", err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the cause is not wrapped")
	}
}

// An error that the end of the context causes is no outage.
func TestRun_EndsDuringAQuery(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	client, err := api.NewClient(&api.Config{Address: server.URL})
	expect.OK(t, err)
	onAnswer, onOutage := func(uint64, any) { t.Error("there is no answer") }, func(err error) { t.Error(err) }
	err = Run(ctx, client, map[string]any{"type": "nodes"}, onAnswer, onOutage)
	if err != nil {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	onOutage := Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime})), "lock")
	onOutage(errors.New("refused"))
	onOutage(nil)
	want := `level=WARN msg="consul watch failed; using the last known state until it recovers" ` +
		`event=consul_watch_failed watch=lock err=refused
level=INFO msg="consul watch recovered" event=consul_watch_recovered watch=lock
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

// What is deleted by a shorter prefix leaves the index as it is, and is reported all the same.
func TestRun_ChangedUnderOneIndex(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var queries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		switch queries.Add(1) {
		case 1, 2, 4:
			_, _ = fmt.Fprint(w, `[{"Key":"k","Value":"djE="}]`)
		case 3:
			http.NotFound(w, r)
		default:
			cancel()
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	client, err := api.NewClient(&api.Config{Address: server.URL})
	expect.OK(t, err)
	var got []string
	err = Run(ctx, client, map[string]any{"type": "keyprefix", "prefix": "k"}, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		got = append(got, fmt.Sprint(index, len(pairs)))
	}, func(err error) { t.Error(err) })
	expect.OK(t, err)
	if d := cmp.Diff([]string{"7 1", "7 0", "7 1"}, got); d != "" {
		t.Error(d)
	}
}
