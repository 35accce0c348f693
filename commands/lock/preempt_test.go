package lock

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Preempt destroys the session that it saw, and no other, and waits for the lock delay.
func TestPreempt(t *testing.T) {
	seen := cluster.View{Index: 7, LockIndex: 5, StateIndex: 8, Session: "s2"}
	same := list(api.KVPair{Key: "k", Flags: Flag, Session: "s2", ModifyIndex: 5},
		api.KVPair{Key: "k/state", Value: []byte(`{}`), ModifyIndex: 8})
	other := list(api.KVPair{Key: "k", Flags: Flag, Session: "s3", ModifyIndex: 6})
	const destroy, acquire = "PUT session/destroy/s2", "PUT txn: cas k/state 8, lock k"
	for _, tt := range []struct {
		name   string
		read   any
		delay  int // how many acquisitions the lock delay rejects
		failed bool
		err    error
		calls  []string
		took   time.Duration
	}{
		{"the holder seen", same, 0, false, nil, []string{"GET kv/k", destroy, acquire}, 0},
		{"after its lock delay", same, 2, false, nil, []string{"GET kv/k", destroy, acquire, acquire, acquire}, 2 * lockDelayPause},
		{"not for ever", same, 9, false, ErrChanged, []string{"GET kv/k", destroy, acquire, acquire, acquire, acquire, acquire},
			4 * lockDelayPause},
		{"another holder", other, 0, false, ErrChanged, []string{"GET kv/k"}, 0},
		{"consul does not answer", nil, 0, false, errBroken, []string{"GET kv/k"}, 0},
		{"the session cannot be destroyed", same, 0, true, errBroken, []string{"GET kv/k", destroy}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rejected := 0
				l, c := fake(t, func(call string, _ int) (int, string) {
					switch {
					case call == "GET kv/k":
						return scripted(tt.read)("", 1)
					case call == destroy && tt.failed:
						return http.StatusForbidden, "connection reset"
					case call == destroy:
						return http.StatusOK, "true"
					case rejected < tt.delay:
						rejected++
						return http.StatusConflict, rolledBack
					}
					return http.StatusOK, committed
				})
				began := time.Now()
				v, err := l.Preempt(t.Context(), "s1", seen, master("a", 2))
				c.expect(t, tt.calls...)
				if tt.err == errBroken && (err == nil || !strings.Contains(err.Error(), "connection reset")) || tt.err != errBroken &&
					!errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				if err == nil && (v.Session != "s1" || v.State.Master == nil) {
					t.Errorf("the view is %+v", v)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
			})
		})
	}
}

func TestPreempt_EndsWithItsContext(t *testing.T) {
	l, c := fake(t, func(call string, _ int) (int, string) {
		if call == "GET kv/k" {
			return http.StatusOK, list(api.KVPair{Key: "k", Flags: Flag, Session: "s2", ModifyIndex: 5})
		}
		if strings.HasPrefix(call, "PUT session") {
			return http.StatusOK, "true"
		}
		return http.StatusConflict, rolledBack
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), lockDelayPause/2)
		defer cancel()
		if _, err := l.Preempt(ctx, "s1", cluster.View{Index: 7, LockIndex: 5, Session: "s2"}, master("a", 2)); !errors.Is(err,
			ErrChanged) || len(c.calls) != 3 {
			t.Errorf("%v after %d calls", err, len(c.calls))
		}
	})
}
