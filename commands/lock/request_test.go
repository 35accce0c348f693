package lock

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
)

func TestCreateRequest(t *testing.T) {
	const create, write, renew, destroy = "PUT session/create", "PUT txn: lock k/failover", "PUT session/renew/s9",
		"PUT session/destroy/s9"
	for _, tt := range []struct {
		name  string
		code  int // of the write
		body  string
		err   error
		calls []string
	}{
		{"it is renewed until its end", http.StatusOK, committed, nil, []string{create, write, renew, renew, renew, destroy}},
		{"another is pending", http.StatusConflict, rolledBack, ErrRequestPending, []string{create, write, destroy}},
		{"the token does not suffice", http.StatusConflict, denied, ErrDenied, []string{create, write, destroy}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := fake(t, func(call string, _ int) (int, string) {
					switch call {
					case create:
						return http.StatusOK, `{"ID":"s9"}`
					case write:
						return tt.code, tt.body
					case renew:
						return http.StatusOK, `[{"ID":"s9"}]`
					}
					return http.StatusOK, "true"
				})
				end, err := l.CreateRequest(t.Context(), cluster.Request{To: "b"})
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				if err == nil {
					<-time.After(requestTTL + requestTTL/6)
					if err := end(t.Context()); err != nil {
						t.Error(err)
					}
				}
				c.expect(t, tt.calls...)
			})
		})
	}
}
