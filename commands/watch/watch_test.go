package watch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	consul "github.com/hashicorp/consul/api/watch"
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

func TestCall_GuardsAgainstAStopThatRaces(t *testing.T) {
	panics := func(*consul.Plan) (consul.BlockingParamVal, any, error) { panic("no cancel function") }
	parse := func() *consul.Plan {
		p, err := consul.Parse(map[string]any{"type": "nodes"})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Run("a panic of a stopped plan is an error", func(t *testing.T) {
		p := parse()
		p.Stop()
		if _, _, err := call(panics, p); err == nil || err.Error() != "stopped" {
			t.Errorf("got %v, want stopped", err)
		}
	})
	t.Run("any other panic is one", func(t *testing.T) {
		defer func() {
			if r := recover(); r != "no cancel function" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, _, err := call(panics, parse())
		t.Errorf("it returned %v", err)
	})
}

func TestRun_TellsAnOutageOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var queries atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := queries.Add(1); {
		case n == 1, n == 5: // the same answer before and after
			w.Header().Set("X-Consul-Index", "7")
			_, _ = fmt.Fprint(w, `[{"Key":"k","Value":"djE="}]`)
		case n < 5:
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
		default:
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	client, err := api.NewClient(&api.Config{Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	err = Run(ctx, client, map[string]any{"type": "keyprefix", "prefix": "k"}, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		heard = append(heard, fmt.Sprintf("%d %s=%s", index, pairs[0].Key, pairs[0].Value))
		if len(heard) == 4 {
			cancel()
		}
	}, func(err error) {
		heard = append(heard, fmt.Sprint("outage: ", err != nil))
	})
	if err != nil {
		t.Error(err)
	}
	// After an outage the answer is told again, although it is the same: what was missed is not known.
	if d := cmp.Diff([]string{"7 k=v1", "outage: true", "outage: false", "7 k=v1"}, heard); d != "" {
		t.Error(d)
	}
}

func TestRun_Refuses(t *testing.T) {
	fn, outage := func(uint64, any) {}, func(error) {}
	err := Run(t.Context(), nil, map[string]any{"type": "nothing"}, fn, outage)
	if err == nil || err.Error() != "watch: Unsupported watch type: nothing" {
		t.Errorf("got %v", err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the cause is not wrapped")
	}
}
