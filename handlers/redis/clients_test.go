package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPromoters(t *testing.T) {
	const list = "id=3 addr=10.0.0.9:1 name= cmd=get\n" +
		"id=4 addr=10.0.0.8:2 name=sentinel-0a1b2c3d-cmd cmd=ping\n" +
		"id=5 addr=10.0.0.8:3 name=sentinel-0a1b2c3d-pubsub cmd=subscribe\n" +
		"id=6 addr=10.0.0.7:4 name= cmd=replicaof\n" +
		"id=7 addr=10.0.0.7:5 name= cmd=slaveof\n" +
		"id=8 addr=10.0.0.6:6 name=resec:a cmd=replicaof\n" +
		"id=9 addr=[fd00::1]:7 name=web cmd=failover\n"
	want := []string{"10.0.0.7", "10.0.0.8 sentinel-0a1b2c3d-cmd", "10.0.0.8 sentinel-0a1b2c3d-pubsub", "fd00::1 web"}
	if d := cmp.Diff(want, promoters(list)); d != "" {
		t.Error(d)
	}
	if got := promoters(""); len(got) > 0 {
		t.Errorf("of no clients: %v", got)
	}
}

func TestCountOlder(t *testing.T) {
	const name = "resec:a"
	for _, tt := range []struct {
		name, list string
		want       int
	}{
		{"only our own connection", "id=7 addr=x name=resec:a\n", 0},
		{"an older one", "id=6 name=resec:a\nid=7 name=resec:a\n", 1},
		{"two older ones, and an empty line", "id=5 name=resec:a\n\nid=6 name=resec:a\nid=7 name=resec:a\n", 2},
		{"a newer one", "id=7 name=resec:a\nid=8 name=resec:a\n", 0},
		{"an older one of another member", "id=6 name=resec:ab\nid=7 name=resec:a\n", 0},
		{"an id that is no number", "id=x name=resec:a\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := countOlder(tt.list, name, 7); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestOlderNamesakes(t *testing.T) {
	p := newPeer(t, nil)
	p.fail("CLIENT ID", ":7")
	p.fail("CLIENT LIST", strings.TrimSuffix(bulk("id=6 name=resec:a\nid=7 name=resec:a\n"), "\r\n"))
	s := p.open(t, Options{Name: "resec:a"})
	if n, err := s.OlderNamesakes(t.Context()); n != 1 || err != nil {
		t.Errorf("got %d, %v; want 1", n, err)
	}
	p.fail("CLIENT ID", "-NOPERM no")
	if n, err := s.OlderNamesakes(t.Context()); n != 0 || err == nil {
		t.Errorf("got %d, %v; want an error", n, err)
	}
}

func TestDisconnect(t *testing.T) {
	for _, tt := range []struct {
		name           string
		normal, pubsub string
		n              int
		err            bool
	}{
		{"both kinds", ":2", ":1", 3, false},
		{"no client", ":0", ":0", 0, false},
		{"one kind that is denied", "-NOPERM no", ":1", 1, true},
		{"an answer that is no number", "+OK", ":1", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.fail("CLIENT KILL TYPE normal", tt.normal)
			p.fail("CLIENT KILL TYPE pubsub", tt.pubsub)
			n, err := p.open(t, Options{}).Disconnect(t.Context())
			if n != tt.n || (err != nil) != tt.err {
				t.Errorf("got %d, %v; want %d, error %t", n, err, tt.n, tt.err)
			}
		})
	}
}

func TestPause(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	if err := s.Pause(t.Context(), 1500*time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := s.Unpause(t.Context()); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"CLIENT PAUSE 1500 WRITE", "CLIENT UNPAUSE"}, p.changes()); d != "" {
		t.Error(d)
	}
}
