package lock

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Publish carries out all that it is asked for, then less, and finds out what became of a write whose answer is lost.
func TestPublish(t *testing.T) {
	const write = "PUT txn: check-session k, cas k/state 8, lock k"
	also := api.TxnOps{{Service: &api.ServiceTxnOp{Verb: api.ServiceSet}}}
	whole := Publication{State: master("a", 2), EndRequest: true, Also: also}
	state := `{"service":"s","master":{"id":"a","address":"a:1","term":2}}`
	holds := api.KVPair{Key: "k", Flags: Flag, Session: "s1", Value: []byte("a"), ModifyIndex: 5}
	notYet := list(holds, api.KVPair{Key: "k/state", Value: []byte(`{}`), ModifyIndex: 8})
	done := list(holds, api.KVPair{Key: "k/state", Value: []byte(state), ModifyIndex: 12})
	lost := list(api.KVPair{Key: "k", Flags: Flag, Session: "s2", ModifyIndex: 5})
	type conflict string // a transaction that was rolled back, with this body
	for _, tt := range []struct {
		name    string
		p       Publication
		answers []any
		calls   []string
		applied bool
		request bool // is still in the view
		err     error
	}{
		{"all at once", whole, []any{committed}, []string{write + ", delete-cas k/failover 4, service set"}, true, false, nil},
		{"without what consul rejects", whole, []any{conflict(rolledBack), committed},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4"}, false, false, nil},
		{"or denies", whole, []any{conflict(denied), committed},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4"}, false, false, nil},
		{"without a request that another has replaced", whole, []any{conflict(rolledBack), conflict(rolledBack), committed},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4", write}, false, false, nil},
		{"not at all if the lock is lost", whole, []any{conflict(rolledBack), conflict(rolledBack), conflict(rolledBack)},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4", write}, false, true,
			ErrChanged},
		{"the state alone", Publication{State: master("a", 2)}, []any{committed}, []string{write}, true, true, nil},
		{"the state alone, once", Publication{State: master("a", 2)}, []any{conflict(rolledBack)}, []string{write}, false, true,
			ErrChanged},
		{"with other operations, but no request", Publication{State: master("a", 2), Also: also},
			[]any{conflict(rolledBack), committed}, []string{write + ", service set", write}, false, true, nil},
		{"with a request, but no other operations", Publication{State: master("a", 2), EndRequest: true},
			[]any{conflict(rolledBack), committed},
			[]string{write + ", delete-cas k/failover 4", write}, false, false, nil},
		{"a lost answer to a write that was done", Publication{State: master("a", 2)}, []any{nil, done}, []string{write, "GET kv/k"},
			false, false, nil},
		{"a lost answer to one that was not", Publication{State: master("a", 2)}, []any{nil, notYet, committed},
			[]string{write, "GET kv/k", write}, true, false, nil},
		{"a lost answer to one that was late", Publication{State: master("a", 2)}, []any{nil, notYet, conflict(rolledBack), done},
			[]string{write, "GET kv/k", write, "GET kv/k"}, false, false, nil},
		{"a lost answer, and the state has changed", Publication{State: master("a", 2)},
			[]any{nil, notYet, conflict(rolledBack), notYet}, []string{write, "GET kv/k", write, "GET kv/k"}, false, false, ErrChanged},
		{"a lost answer, and the lock is another's", Publication{State: master("a", 2)}, []any{nil, lost},
			[]string{write, "GET kv/k"}, false, true, errBroken},
		{"a lost answer, and no other", Publication{State: master("a", 2)}, []any{nil, nil}, []string{write, "GET kv/k"}, false, true,
			errBroken},
		{"two lost answers", Publication{State: master("a", 2)}, []any{nil, notYet, nil}, []string{write, "GET kv/k", write}, false,
			false, errBroken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, c := fake(t, func(_ string, n int) (int, string) {
				if n > len(tt.answers) {
					return http.StatusTeapot, ""
				}
				if body, is := tt.answers[n-1].(conflict); is {
					return http.StatusConflict, string(body)
				}
				return scripted(tt.answers...)("", n)
			})
			v := cluster.View{Index: 8, StateIndex: 8, Session: "s1", Request: &cluster.Request{Index: 4}}
			out, err := l.Publish(t.Context(), "s1", v, tt.p)
			c.expect(t, tt.calls...)
			if tt.err == errBroken {
				if err == nil || !strings.Contains(err.Error(), "connection reset") {
					t.Errorf("got %v", err)
				}
			} else if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if out.AlsoApplied != tt.applied {
				t.Errorf("applied is %t, want %t", out.AlsoApplied, tt.applied)
			}
			if is := out.View.Request != nil; is != tt.request {
				t.Errorf("the view has a request: %t, want %t", is, tt.request)
			}
			if published := out.View.State.Master != nil; published != (err == nil) {
				t.Errorf("the view has the master: %t, after %v", published, err)
			}
		})
	}
}

var errBroken = errors.New("the connection broke")
