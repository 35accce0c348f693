package lock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers"
)

// master is a state that names a master.
func master(id string, term uint64) cluster.State {
	return cluster.State{Service: "s", Master: &cluster.Master{Peer: handlers.Peer{ID: id, Address: id + ":1", Term: term}}}
}

// The operations of each write, what it returns, and its errors.
func TestWrites(t *testing.T) {
	before := cluster.View{Index: 20, StateIndex: 8, Session: "s1", Holder: "a", Err: errors.New("bad state"), FromLastKnown: true,
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "s2"}}}
	after := before
	after.LockIndex, after.StateIndex, after.State, after.Err, after.FromLastKnown = 11, 12, master("a", 2), nil, false
	transferred := after
	transferred.Session, transferred.Holder = "s2", "b"
	request := cluster.Request{To: "b", Session: "s9", Index: 4, Answer: "no"}
	for _, tt := range []struct {
		name  string
		write func(context.Context, Lock) (cluster.View, error)
		call  string
		want  cluster.View
		text  string // of an error
	}{
		{"acquire", func(ctx context.Context, l Lock) (cluster.View, error) {
			return l.Acquire(ctx, "s1", before, master("a", 2))
		},
			"cas k/state 8, lock k", after, "acquire the lock k"},
		{"write", func(ctx context.Context, l Lock) (cluster.View, error) {
			return l.Write(ctx, "s1", before, master("a", 2))
		},
			"check-session k, cas k/state 8, lock k", after, "write the state at k/state"},
		{"transfer", func(ctx context.Context, l Lock) (cluster.View, error) {
			return l.Transfer(ctx, "s1", before, "b", master("a", 2))
		}, "check-session k, cas k/state 8, unlock k, lock k", transferred, "transfer the lock k to b"},
		{"release with reason", func(ctx context.Context, l Lock) (cluster.View, error) {
			return before, l.ReleaseWithReason(ctx, "s1", before, "why")
		}, "check-session k, cas k/state 8, unlock k", before, "release the lock k"},
		{"only while held", func(ctx context.Context, l Lock) (cluster.View, error) {
			return before, l.TxnIfHeld(ctx, "s1", kvOps(&api.KVTxnOp{Verb: api.KVDelete, Key: "else"})...)
		}, "check-session k, delete else", before, ""},
		{"put member", func(ctx context.Context, l Lock) (cluster.View, error) {
			return before, l.PutMember(ctx, cluster.MemberKey{Session: "s1"})
		}, "lock k/members/a", before, "write the member's key k/members/a"},
		{"delete member", func(ctx context.Context, l Lock) (cluster.View, error) { return before, l.DeleteMember(ctx, "b") },
			"delete k/members/b", before, "remove the member's key k/members/b"},
		{"pause", func(ctx context.Context, l Lock) (cluster.View, error) { return before, l.Pause(ctx, cluster.Pause{}) },
			"set k/pause", before, "write the pause k/pause"},
		{"resume", func(ctx context.Context, l Lock) (cluster.View, error) { return before, l.Resume(ctx) },
			"delete k/pause", before, "remove the pause k/pause"},
		{"answer request", func(ctx context.Context, l Lock) (cluster.View, error) { return before, l.AnswerRequest(ctx, request) },
			"check-session k/failover, cas k/failover 4", before, "answer the request k/failover"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, c := fake(t, scripted(committed))
			got, err := tt.write(t.Context(), l)
			if d := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); d != "" || err != nil {
				t.Error(d, err)
			}
			c.expect(t, "PUT txn: "+tt.call)
			for body, want := range map[string]error{rolledBack: ErrChanged, denied: ErrDenied} {
				l, _ := fake(t, conflicting(body))
				got, err := tt.write(t.Context(), l)
				if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), tt.text) {
					t.Errorf("got %v, want %v", err, want)
				}
				if d := cmp.Diff(before, got, cmpopts.EquateErrors()); d != "" {
					t.Errorf("after an error: %s", d)
				}
			}
		})
	}
}

func TestRelease_WithoutAReasonIfTheStateHasChanged(t *testing.T) {
	l, c := fake(t, func(call string, _ int) (int, string) {
		if strings.Contains(call, "cas") {
			return http.StatusConflict, rolledBack
		}
		return http.StatusOK, committed
	})
	if err := l.Release(t.Context(), "s1", cluster.View{StateIndex: 8}, "why"); err != nil {
		t.Error(err)
	}
	c.expect(t, "PUT txn: check-session k, cas k/state 8, unlock k", "PUT txn: unlock k")
	l, c = fake(t, conflicting(denied))
	if err := l.Release(t.Context(), "s1", cluster.View{}, "why"); !errors.Is(err, ErrDenied) || len(c.calls) != 1 {
		t.Errorf("%v after %d calls", err, len(c.calls))
	}
	l, _ = fake(t, conflicting(rolledBack))
	if err := l.Release(t.Context(), "s1", cluster.View{}, "why"); !errors.Is(err, ErrChanged) || !strings.HasPrefix(err.Error(), "release the lock k") {
		t.Error(err)
	}
}

func TestRead(t *testing.T) {
	l, _ := fake(t, scripted(list(api.KVPair{Key: "k", Flags: Flag, Session: "s1", Value: []byte("a"), ModifyIndex: 5})))
	v, err := l.Read(t.Context())
	if d := cmp.Diff(cluster.View{Index: 9, LockIndex: 5, Session: "s1", Holder: "a"}, v); d != "" || err != nil {
		t.Error(d, err)
	}
	// Nothing may be there, or hidden by an ACL: the key itself tells.
	for _, tt := range []struct {
		answers []any
		calls   []string
		failed  bool
	}{
		{[]any{"filtered", http.StatusNotFound}, []string{"GET kv/k", "GET kv/k"}, false},
		{[]any{"filtered", http.StatusForbidden}, []string{"GET kv/k", "GET kv/k"}, true},
		{[]any{http.StatusNotFound}, []string{"GET kv/k"}, false},
		{[]any{http.StatusInternalServerError}, []string{"GET kv/k"}, true},
	} {
		l, c := fake(t, scripted(tt.answers...))
		if v, err := l.Read(t.Context()); (err != nil) != tt.failed || err == nil && v.Index != 9 {
			t.Errorf("%v: %+v %v", tt.answers, v, err)
		}
		c.expect(t, tt.calls...)
	}
}

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
		{"without what consul rejects", whole, []any{conflict(rolledBack), committed}, []string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4"}, false, false, nil},
		{"or denies", whole, []any{conflict(denied), committed}, []string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4"}, false, false, nil},
		{"without a request that another has replaced", whole, []any{conflict(rolledBack), conflict(rolledBack), committed},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4", write}, false, false, nil},
		{"not at all if the lock is lost", whole, []any{conflict(rolledBack), conflict(rolledBack), conflict(rolledBack)},
			[]string{write + ", delete-cas k/failover 4, service set", write + ", delete-cas k/failover 4", write}, false, true, ErrChanged},
		{"the state alone", Publication{State: master("a", 2)}, []any{committed}, []string{write}, true, true, nil},
		{"the state alone, once", Publication{State: master("a", 2)}, []any{conflict(rolledBack)}, []string{write}, false, true, ErrChanged},
		{"with other operations, but no request", Publication{State: master("a", 2), Also: also}, []any{conflict(rolledBack), committed}, []string{write + ", service set", write}, false, true, nil},
		{"with a request, but no other operations", Publication{State: master("a", 2), EndRequest: true}, []any{conflict(rolledBack), committed},
			[]string{write + ", delete-cas k/failover 4", write}, false, false, nil},
		{"a lost answer to a write that was done", Publication{State: master("a", 2)}, []any{nil, done}, []string{write, "GET kv/k"}, false, false, nil},
		{"a lost answer to one that was not", Publication{State: master("a", 2)}, []any{nil, notYet, committed}, []string{write, "GET kv/k", write}, true, false, nil},
		{"a lost answer to one that was late", Publication{State: master("a", 2)}, []any{nil, notYet, conflict(rolledBack), done}, []string{write, "GET kv/k", write, "GET kv/k"}, false, false, nil},
		{"a lost answer, and the state has changed", Publication{State: master("a", 2)}, []any{nil, notYet, conflict(rolledBack), notYet}, []string{write, "GET kv/k", write, "GET kv/k"}, false, false, ErrChanged},
		{"a lost answer, and the lock is another's", Publication{State: master("a", 2)}, []any{nil, lost}, []string{write, "GET kv/k"}, false, true, errBroken},
		{"a lost answer, and no other", Publication{State: master("a", 2)}, []any{nil, nil}, []string{write, "GET kv/k"}, false, true, errBroken},
		{"two lost answers", Publication{State: master("a", 2)}, []any{nil, notYet, nil}, []string{write, "GET kv/k", write}, false, false, errBroken},
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

// Preempt destroys the session that it saw, and no other, and waits for the lock delay.
func TestPreempt(t *testing.T) {
	seen := cluster.View{Index: 7, LockIndex: 5, StateIndex: 8, Session: "s2"}
	same := list(api.KVPair{Key: "k", Flags: Flag, Session: "s2", ModifyIndex: 5}, api.KVPair{Key: "k/state", Value: []byte(`{}`), ModifyIndex: 8})
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
		{"not for ever", same, 9, false, ErrChanged, []string{"GET kv/k", destroy, acquire, acquire, acquire, acquire, acquire}, 4 * lockDelayPause},
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
				if tt.err == errBroken && (err == nil || !strings.Contains(err.Error(), "connection reset")) || tt.err != errBroken && !errors.Is(err, tt.err) {
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
		if _, err := l.Preempt(ctx, "s1", cluster.View{Index: 7, LockIndex: 5, Session: "s2"}, master("a", 2)); !errors.Is(err, ErrChanged) || len(c.calls) != 3 {
			t.Errorf("%v after %d calls", err, len(c.calls))
		}
	})
}

func TestHistory(t *testing.T) {
	changes := make([]cluster.Change, maxHistoryChanges+3)
	for i := range changes {
		changes[i].Term = uint64(i)
	}
	kept := latestChanges(changes)
	if len(kept) != maxHistoryChanges || kept[0].Term != 3 {
		t.Errorf("%d are kept, from %d", len(kept), kept[0].Term)
	}
	if kept := latestChanges(changes[:2]); len(kept) != 2 {
		t.Errorf("%d of 2 are kept", len(kept))
	}
	stored := list(api.KVPair{Key: "k/history", Value: []byte(`[{"term":1}]`), ModifyIndex: 4})
	damaged := list(api.KVPair{Key: "k/history", Value: []byte(`{`), ModifyIndex: 4})
	for body, want := range map[string]int{stored: 1, damaged: 0} {
		l, _ := fake(t, scripted(body))
		if all, err := l.History(t.Context()); err != nil || len(all) != want {
			t.Errorf("%d changes, want %d: %v", len(all), want, err)
		}
	}
	l, c := fake(t, scripted(http.StatusNotFound, committed))
	if err := l.AppendHistory(t.Context(), cluster.Change{}); err != nil {
		t.Error(err)
	}
	c.expect(t, "GET kv/k/history", "PUT txn: cas k/history")
	// Another master writes at the same time, each time.
	l, c = fake(t, func(call string, _ int) (int, string) {
		if strings.HasPrefix(call, "GET") {
			return http.StatusOK, stored
		}
		return http.StatusConflict, rolledBack
	})
	if err := l.AppendHistory(t.Context(), cluster.Change{}); !errors.Is(err, ErrChanged) || len(c.calls) != 2*appendTries {
		t.Errorf("%v after %d calls", err, len(c.calls))
	}
	l, c = fake(t, scripted(http.StatusInternalServerError))
	if err := l.AppendHistory(t.Context(), cluster.Change{}); err == nil || len(c.calls) != 1 {
		t.Errorf("%v after %d calls", err, len(c.calls))
	}
}

func TestCreateRequest(t *testing.T) {
	const create, write, renew, destroy = "PUT session/create", "PUT txn: lock k/failover", "PUT session/renew/s9", "PUT session/destroy/s9"
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

func TestErrorKind(t *testing.T) {
	for _, same := range [][2]string{
		{"read tcp 127.0.0.1:4242->10.0.0.1:8500: connection reset", "read tcp 127.0.0.1:51234->10.0.0.1:8500: connection reset"},
		{"invalid session 9a37c3f4-0000-1111-2222-333344445555", "invalid session 00000000-aaaa-bbbb-cccc-ddddeeeeffff"},
	} {
		if a, b := ErrorKind(errors.New(same[0])), ErrorKind(fmt.Errorf("%s", same[1])); a != b {
			t.Errorf("%q is not %q", a, b)
		}
	}
	if ErrorKind(errors.New("connection refused")) == ErrorKind(errors.New("connection reset")) {
		t.Error("two faults are one kind")
	}
	if ErrorKind(nil) != "" {
		t.Error("no error is a kind")
	}
}
