package redis

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asReplica makes the peer report that it follows host and port.
func asReplica(p *peer, host, port string) {
	p.setInfo(map[string]string{"role": "slave", "master_host": host, "master_port": port, "master_link_status": "down"})
}

// obeyReplicaOf makes the peer report the master that the last REPLICAOF named, if any.
func obeyReplicaOf(p *peer) {
	p.handler = func(command string) (string, bool) {
		words := strings.Fields(command)
		switch {
		case words[0] != "REPLICAOF":
		case words[1] == "NO":
			p.info["role"] = "master"
		default:
			p.info["role"], p.info["master_host"], p.info["master_port"] = "slave", words[1], words[2]
		}
		return "", false
	}
}

func TestPromote(t *testing.T) {
	const fence, promote = "CONFIG SET min-replicas-to-write 2147483646", "REPLICAOF NO ONE"
	const unfence = "CONFIG SET min-replicas-to-write 1"
	onceFenced := func(p *peer, change func()) { // the peer is a replica, and changes when it is fenced
		asReplica(p, "10.0.0.1", "6379")
		p.handler = func(command string) (string, bool) {
			if command == fence {
				change()
			}
			return "", false
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(*peer)
		want    []string
		err     string
		master  bool
	}{
		{"a replica is fenced and promoted",
			func(p *peer) { asReplica(p, "10.0.0.1", "6379"); obeyReplicaOf(p) }, []string{fence, promote}, "", true},
		{"a master is fenced", func(*peer) {}, []string{fence}, "", true},
		{"a fenced master is left as it is", func(p *peer) { p.set("min-replicas-to-write", "2147483647") }, nil, "", true},
		{"a server that is loading is not promoted",
			func(p *peer) { asReplica(p, "10.0.0.1", "6379"); p.setInfo(map[string]string{"loading": "1"}) },
			[]string{fence, unfence}, "redis is loading its data set", false},
		{"a server that is a replica afterwards", func(p *peer) { asReplica(p, "10.0.0.1", "6379") }, []string{fence, promote},
			"it still follows 10.0.0.1:6379", false},
		{"a server that denies the fence",
			func(p *peer) { asReplica(p, "10.0.0.1", "6379"); p.fail("CONFIG SET", "-NOPERM no") },
			[]string{fence}, "NOPERM no", false},
		{"a server that denies REPLICAOF", func(p *peer) { asReplica(p, "10.0.0.1", "6379"); p.fail("REPLICAOF", "-NOPERM no") },
			[]string{fence, promote, unfence}, "NOPERM no", false},
		{"a server that denies its status once it is fenced",
			func(p *peer) { onceFenced(p, func() { p.replies["INFO"] = "-NOPERM no\r\n" }) }, []string{fence, unfence},
			"NOPERM no", false},
		{"a server that is in cluster mode once it is fenced",
			func(p *peer) { onceFenced(p, func() { p.info["cluster_enabled"] = "1" }) }, []string{fence, unfence},
			"redis is in cluster mode", false},
		{"a server that answers nothing of use once it is fenced",
			func(p *peer) { onceFenced(p, func() { p.replies["INFO"] = "broken\r\n" }) }, []string{fence},
			"not one of redis", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.set("min-replicas-max-lag", "10")
			p.set("min-replicas-to-write", "1")
			tt.prepare(p)
			var c counts
			st, err := p.open(t, Options{Counters: &c}).Promote(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			if st.Master != tt.master {
				t.Errorf("got %+v, want a master: %t", st, tt.master)
			}
			if d := cmp.Diff(tt.want, p.changes()); d != "" {
				t.Error(d)
			}
			if n := c.fenced.Load(); n != 0 {
				t.Errorf("%d fences are counted; this one ends no writes", n)
			}
		})
	}
}

func TestPromote_LoadingIsAnErrorOfItsOwn(t *testing.T) {
	p := newPeer(t, map[string]string{"loading": "1"})
	if _, err := p.open(t, Options{}).Promote(t.Context()); !errors.Is(err, ErrLoading) {
		t.Errorf("got %v, want ErrLoading", err)
	}
}

func TestFollow(t *testing.T) {
	readOnly := "CONFIG SET replica-read-only yes"
	credentials := Options{Login: StaticLogin("own", "own-secret"), Replication: StaticLogin("repl", "repl-secret"), TLS: nil}
	for _, tt := range []struct {
		name string
		opt  Options
		addr string
		want []string
	}{
		{"without credentials", Options{}, "10.0.0.1:6379", []string{readOnly, "REPLICAOF 10.0.0.1 6379"}},
		{"an IPv6 address", Options{}, "[fd00::1]:6379", []string{readOnly, "REPLICAOF fd00::1 6379"}},
		{"with credentials for replication", credentials, "10.0.0.1:6379",
			[]string{readOnly, "CONFIG SET masteruser repl", "CONFIG SET masterauth repl-secret", "REPLICAOF 10.0.0.1 6379"}},
		{"with its own credentials", Options{Login: StaticLogin("", "own-secret")}, "10.0.0.1:6379",
			[]string{readOnly, "CONFIG SET masteruser ", "CONFIG SET masterauth own-secret", "REPLICAOF 10.0.0.1 6379"}},
		{"the sink needs no credentials", credentials, Sink, []string{readOnly, "REPLICAOF 127.0.0.1 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			obeyReplicaOf(p)
			if err := p.open(t, tt.opt).Follow(t.Context(), tt.addr); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(tt.want, p.changes()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFollow_Errors(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	for _, tt := range []struct{ name, addr, want string }{
		{"no host:port", "10.0.0.1", "missing port"},
		{"a server that remains a master", "10.0.0.1:6379", `it follows ""`},
	} {
		if err := s.Follow(t.Context(), tt.addr); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, command := range []string{"REPLICAOF", "CONFIG SET"} {
		p.fail(command, "-NOPERM no")
		if err := s.Follow(t.Context(), "10.0.0.1:6379"); err == nil || !strings.Contains(err.Error(), "NOPERM no") {
			t.Errorf("with %s denied: got %v", command, err)
		}
	}
}

// A park is counted if it changed something.
func TestPark_CountsChanges(t *testing.T) {
	p := newPeer(t, nil)
	obeyReplicaOf(p)
	var c counts
	s := p.open(t, Options{Counters: &c})
	if err := s.Park(t.Context()); err != nil || c.parked.Load() != 1 {
		t.Errorf("got %v and %d parks counted, want 1", err, c.parked.Load())
	}
	p.fail("REPLICAOF", "+OK Already connected to specified master")
	if err := s.Park(t.Context()); err != nil || c.parked.Load() != 1 {
		t.Errorf("parked again: got %v and %d parks counted, want 1", err, c.parked.Load())
	}
	p.fail("REPLICAOF", "-NOPERM no")
	if err := s.Park(t.Context()); err == nil || c.parked.Load() != 1 {
		t.Errorf("with REPLICAOF denied: got %v and %d parks counted, want 1", err, c.parked.Load())
	}
}

func TestConfigureReplication(t *testing.T) {
	readOnly := []string{"CONFIG", "SET", "replica-read-only", "yes"}
	withTLS := Options{TLS: func() *tls.Config { return &tls.Config{} }, Login: StaticLogin("u", "secret")}
	want := [][]string{readOnly, {"CONFIG", "SET", "tls-replication", "yes"},
		{"CONFIG", "SET", "masteruser", "u"}, {"CONFIG", "SET", "masterauth", "secret"}}
	if d := cmp.Diff(want, withTLS.replicationConfig()); d != "" {
		t.Error(d)
	}
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	if err := s.ConfigureReplication(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.ReadOnly(t.Context()); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{strings.Join(readOnly, " "), strings.Join(readOnly, " ")}, p.changes()); d != "" {
		t.Error(d)
	}
}
