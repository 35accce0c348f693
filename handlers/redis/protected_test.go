package redis

import (
	"net"
	"sync"
	"testing"
	"time"
)

// speaking is a server that says something to each connection and hangs up, as Redis in protected mode does.
func speaking(t *testing.T, words string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(words))
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().String()
}

// A server that says why it refuses us, and hangs up, is alive and denies access; one that only hangs up does not answer.
func TestExplain(t *testing.T) {
	for _, tt := range []struct{ words, summary string }{
		{"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n",
			errProtected.Error()},
		{"-ERR max number of clients reached\r\n", errMaxClients.Error()},
		{"-ERR max number of clients + cluster connections reached\r\n", errMaxClients.Error()},
		{"", ""}, {"-DEN", ""}, {"-ERR max", ""},
	} {
		s, err := Open(t.Context(), Options{Addr: speaking(t, tt.words), Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Status(t.Context())
		s.Close()
		explained := tt.summary != "" && Summary(err) == tt.summary
		if explained != (tt.summary != "") || AccessDenied(err) != explained || Unreachable(err) == explained {
			t.Errorf("%q: %v", tt.words, err)
		}
	}
}

// A server that has rejected our login is asked once a probe, and after growing pauses of a second at most.
func TestWatcher_Rejected(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	w := watcher{server: s, probe: Probe{Every: time.Hour, Timeout: time.Minute}, timeout: time.Minute,
		retry: retryMin}
	w.health = Health{Status: Status{RunID: "a"}, AccessErr: replyError(t, "WRONGPASS no")}
	for _, want := range []time.Duration{retryMin, 2 * retryMin, 4 * retryMin, 8 * retryMin, maxRejectedPause, maxRejectedPause} {
		if got := w.pause(t.Context()); got != want || w.conn.ended != nil {
			t.Errorf("pause %s, want %s; a connection is open: %t", got, want, w.conn.ended != nil)
		}
	}
	p.fail("INFO", "-WRONGPASS no")
	began := time.Now()
	if _, err := w.look(t.Context()); !accessRejected(err) || time.Since(began) > 30*time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
	w.health = Health{Status: Status{RunID: "a", Master: true}}
	if got := w.pause(t.Context()); got != time.Hour || w.retry != retryMin {
		t.Errorf("once it is usable: %s, then %s", got, w.retry)
	}
	w.conn.close()
}
