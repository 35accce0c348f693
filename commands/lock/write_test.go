package lock

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

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
	after.LastHolder = "a"
	transferred := after
	transferred.Session, transferred.Holder, transferred.LastHolder = "s2", "b", "b"
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
	if err := l.Release(t.Context(), "s1", cluster.View{}, "why"); !errors.Is(err, ErrChanged) ||
		!strings.HasPrefix(err.Error(), "release the lock k") {
		t.Error(err)
	}
}

func TestRead(t *testing.T) {
	l, _ := fake(t, scripted(list(api.KVPair{Key: "k", Flags: Flag, Session: "s1", Value: []byte("a"), ModifyIndex: 5})))
	v, err := l.Read(t.Context())
	if d := cmp.Diff(cluster.View{Index: 9, LockIndex: 5, Session: "s1", Holder: "a", LastHolder: "a"}, v); d != "" || err != nil {
		t.Error(d, err)
	}
	// An empty list may be hidden by an ACL: reading the key itself shows that.
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
