package commands

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/output"
	"resec/handlers"
)

// published is a view whose published master has a term.
func published(id string, term uint64, change ...func(*cluster.View)) cluster.View {
	v := cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: id, Address: id + ":1", Term: term}}}}
	for _, f := range change {
		f(&v)
	}
	return v
}

func open(r cluster.Request) func(*cluster.View) {
	return func(v *cluster.View) { v.Request = &r }
}

func answered(accepted bool, text string) func(*cluster.View) {
	return func(v *cluster.View) { v.Answered = &cluster.Request{Accepted: accepted, Answer: text} }
}

// exitCode is the exit code of an error.
func exitCode(err error) int {
	var ce codeError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &ce):
		return ce.code
	}
	return exitUsage
}

func TestSwitchover_Next(t *testing.T) {
	accepted := open(cluster.Request{To: "b", Accepted: true})
	for _, tt := range []struct {
		name string
		r    cluster.Request
		view []cluster.View // one after the other; the result is that of the last
		done bool
		code int
		want string // part of the error
	}{
		{"the agent has not answered yet", cluster.Request{To: "b"}, []cluster.View{published("a", 4,
			open(cluster.Request{To: "b"}))}, false, 0, ""},
		{"it has accepted", cluster.Request{To: "b"}, []cluster.View{published("a", 4, accepted)}, false, 0, ""},
		{"it has refused", cluster.Request{To: "b"}, []cluster.View{published("a", 4, answered(false, "too slow"))}, true,
			exitRefused,
			"refused: too slow; a is still the master"},
		{"it has accepted and then failed", cluster.Request{To: "b"}, []cluster.View{published("a", 4, answered(true,
			"b died"))}, true,
			exitTimeout, "failed: b died"},
		{"a dry run was answered", cluster.Request{To: "b", DryRun: true}, []cluster.View{published("a", 4, answered(true,
			"b would lead"))},
			true, 0, ""},
		{"a dry run was refused", cluster.Request{To: "b", DryRun: true}, []cluster.View{published("a", 4, answered(false,
			"no"))},
			true,
			exitRefused, "refused: no"},
		{"the accepted member is master", cluster.Request{}, []cluster.View{published("a", 4, accepted), published("b", 5)},
			true, 0,
			""},
		{"another than the accepted member is master", cluster.Request{}, []cluster.View{published("a", 4, accepted),
			published("c",
				5)}, true,
			exitTimeout, "without a new master"},
		{"the requested member is master, by id", cluster.Request{To: "b"}, []cluster.View{published("b", 5)}, true, 0, ""},
		{"the requested member is master, by address", cluster.Request{To: "b:1"}, []cluster.View{published("b", 5)}, true, 0,
			""},
		{"any member is master, if none was named", cluster.Request{}, []cluster.View{published("c", 5)}, true, 0, ""},
		{"another than the requested member is master", cluster.Request{To: "b"}, []cluster.View{published("c", 5)}, true,
			exitTimeout,
			"without a new master"},
		{"the request has ended in the old term", cluster.Request{}, []cluster.View{published("a", 4)}, true, exitTimeout,
			"without a new master"},
		{"the state was deleted", cluster.Request{}, []cluster.View{{}}, true, exitTimeout, "without a new master"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := switchover{Request: tt.r, old: *published("a", 4).State.Master}
			var done bool
			var err error
			for _, v := range tt.view {
				done, err = s.next(v)
			}
			if done != tt.done || exitCode(err) != tt.code || err != nil && (tt.want == "" ||
				!strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %t, exit %d, %v", done, exitCode(err), err)
			}
		})
	}
}

func TestFailoverDone(t *testing.T) {
	for _, tt := range []struct {
		name string
		view cluster.View
		done bool
		want string // part of the error
	}{
		{"the request is open", published("a", 4, open(cluster.Request{To: "b"})), false, ""},
		{"the member is master, but the request is open", published("b", 5, open(cluster.Request{To: "b"})), false, ""},
		{"the member is master", published("b", 5), true, ""},
		{"the member is master in the old term", published("b", 4), false, "gave up"},
		{"another member is master", published("c", 5), false, "gave up"},
		{"its agent has refused", published("a", 4, answered(false, "it is loading")), false,
			"b did not become master: it is loading"},
		{"the state was deleted", cluster.View{}, false, "gave up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done, err := failoverDone(tt.view, "b", 4)
			if done != tt.done || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %t, %v", done, err)
			}
		})
	}
}

func TestWithoutOutcome(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		lastErr error
		want    string
	}{
		{"interrupted", stopped, errors.New("refused"), "interrupted: the request is withdrawn; see resec status"},
		{"too late", t.Context(), nil, "no new master after 5s: the request is withdrawn; see resec status and the agents' logs"},
		{"consul did not answer", t.Context(), errors.New("refused"),
			"no new master after 5s: the request is withdrawn; see resec status and the agents' logs; the last error was: refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := withoutOutcome(tt.ctx, 5*time.Second, tt.lastErr).Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Nobody reads the steps of a request: they do not keep it from being withdrawn in time.
func TestProgress_NobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := progress{out: output.NewStream(t.Context(), w), before: cluster.View{Session: "s", Holder: "a"}}
		began := time.Now()
		s.show(cluster.View{Session: "t", Holder: "b"})
		s.show(cluster.View{})
		if took := time.Since(began); took != 2*showTimeout {
			t.Errorf("two steps took %s", took)
		}
		expect.OK(t, r.Close())
		synctest.Wait()
	})
}
