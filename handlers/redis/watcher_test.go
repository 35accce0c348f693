package redis

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWatcher_Conclusive(t *testing.T) {
	unreachable := errors.New("broken")
	w := watcher{probe: Probe{Failures: 3}}
	for i, tt := range []struct {
		err  error
		want bool
	}{
		{unreachable, false}, {unreachable, false}, {nil, true}, {unreachable, false}, {unreachable, false},
		{syscall.ECONNREFUSED, true}, {unreachable, false}, {unreachable, false}, {unreachable, true}, {unreachable, true},
		{ErrLoading, true}, {unreachable, false},
	} {
		if got := w.conclusive(tt.err); got != tt.want {
			t.Errorf("probe %d, %v: got %t", i, tt.err, got)
		}
	}
	if w.repliedAt.IsZero() {
		t.Error("the time of the reply is not known")
	}
}

func TestWatcher_Learn(t *testing.T) {
	at := time.Unix(1, 0)
	known, next := Status{RunID: "a"}, Status{RunID: "b"}
	denied := replyError(t, "NOAUTH Authentication required.")
	for _, tt := range []struct {
		name   string
		before Health
		st     Status
		err    error
		want   Health
	}{
		{"the first status", Health{}, next, nil, Health{Status: next, At: at}},
		{"the next status", Health{Status: known, Err: ErrLoading}, next, nil, Health{Status: next, At: at}},
		{"a server that is loading", Health{Status: known}, next, ErrLoading, Health{Status: next, At: at, Err: ErrLoading}},
		{"busy, unknown", Health{}, Status{}, nil, Health{Err: errNotIdentified}},
		{"busy, known", Health{Status: known}, Status{}, nil, Health{Status: known}},
		{"unusable, known", Health{Status: known}, Status{}, ErrTooOld, Health{Status: known, Err: ErrTooOld}},
		{"access denied, unknown", Health{}, Status{}, denied, Health{Err: denied}},
		{"access denied, known", Health{Status: known}, Status{}, denied, Health{Status: known, AccessErr: denied}},
		{"access granted again", Health{Status: known, AccessErr: denied}, next, nil, Health{Status: next, At: at}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := watcher{health: tt.before}
			w.learn(tt.st, tt.err, at)
			same := func(a, b error) bool { return a == b }
			if d := cmp.Diff(tt.want, w.health, cmp.Comparer(same)); d != "" {
				t.Error(d)
			}
		})
	}
}

// The pause that has grown since a master ended is not that of the next one.
func TestWatcher_LearnsAnotherMaster(t *testing.T) {
	w := watcher{retry: time.Hour, health: Health{Status: Status{RunID: "a", MasterAddr: "dead:1"}}}
	w.learn(Status{}, ErrLoading, time.Time{})
	w.learn(Status{RunID: "a", MasterAddr: "dead:1"}, nil, time.Time{})
	if w.retry != time.Hour {
		t.Errorf("under the same master the pause is %s", w.retry)
	}
	if w.learn(Status{RunID: "a", MasterAddr: "next:1"}, nil, time.Time{}); w.retry != retryMin {
		t.Errorf("under another master the pause is %s", w.retry)
	}
}

func TestWatcher_BackOff(t *testing.T) {
	w := watcher{probe: Probe{Every: 3 * retryMin}, retry: retryMin}
	for i, want := range []time.Duration{retryMin, 2 * retryMin, 3 * retryMin, 3 * retryMin} {
		if got := w.backOff(); got != want {
			t.Errorf("pause %d is %s, want %s", i, got, want)
		}
	}
}

func TestWatcher_Pause(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{Ping: time.Hour})
	for _, tt := range []struct {
		name  string
		err   error
		conn  livenessConn
		want  time.Duration
		retry time.Duration // afterwards
		open  bool
		st    Status
	}{
		{"usable", nil, livenessConn{}, time.Hour, retryMin, true, Status{Master: true}},
		{"its master's link is up", nil, livenessConn{}, time.Hour, retryMin, true, Status{MasterAddr: "a:1", LinkUp: true}},
		{"its master's link is not up yet", nil, livenessConn{}, 4 * retryMin, 8 * retryMin, true, Status{MasterAddr: "a:1"}},
		{"its first sync is under way", nil, livenessConn{}, 4 * retryMin, 8 * retryMin, true,
			Status{MasterAddr: "a:1", LinkUp: true, Syncing: true}},
		{"parked", nil, livenessConn{}, time.Hour, retryMin, true, Status{MasterAddr: Sink}},
		{"loading", ErrLoading, livenessConn{}, retryMin, 4 * retryMin, false, Status{}},
		{"unusable", ErrTooOld, livenessConn{}, 4 * retryMin, 8 * retryMin, false, Status{Master: true}},
		{"a connection that was rejected",
			nil, livenessConn{opened: time.Unix(1, 0), closed: time.Unix(9, 0)}, 4 * retryMin, 8 * retryMin, false, Status{Master: true}},
		{"a connection that ended late",
			nil, livenessConn{accepted: true, opened: time.Unix(1, 0), closed: time.Unix(9, 0)}, time.Hour, retryMin, true,
			Status{Master: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := watcher{server: s, probe: Probe{Every: time.Hour}, retry: 4 * retryMin, conn: tt.conn}
			w.health.Err, w.health.Status = tt.err, tt.st
			defer w.conn.close()
			got := w.pause(t.Context())
			open := w.conn.ended != nil
			if got != tt.want || w.retry != tt.retry || open != tt.open {
				t.Errorf("got %s, then %s, open %t; want %s, %s, %t", got, w.retry, open, tt.want, tt.retry, tt.open)
			}
		})
	}
}
