package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An error that this host makes is neither a refusal nor a silence of the server.
func TestLocalFault(t *testing.T) {
	dial := func(errno syscall.Errno) error {
		return fmt.Errorf("INFO on redis a:1: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)})
	}
	type kind struct{ Exhausted, LocalFault, Unreachable, OutOfReach, Refused bool }
	exhausted, apart := kind{Exhausted: true, LocalFault: true}, kind{LocalFault: true, OutOfReach: true}
	const resolverFails = "this host cannot resolve its name: its resolver fails"
	for _, tt := range []struct {
		err     error
		want    kind
		summary string
	}{
		{dial(syscall.EMFILE), exhausted, "this host cannot connect to it: too many open files"},
		{dial(syscall.ENFILE), exhausted, "this host cannot connect to it: too many open files in system"},
		{dial(syscall.ENOBUFS), exhausted, "this host cannot connect to it: no buffer space available"},
		{dial(syscall.ENOMEM), exhausted, "this host cannot connect to it: cannot allocate memory"},
		{dial(syscall.EADDRNOTAVAIL), apart, "this host cannot connect to it: cannot assign requested address"},
		{dial(syscall.ENETUNREACH), apart, "this host cannot connect to it: network is unreachable"},
		{dial(syscall.ENETDOWN), apart, "this host cannot connect to it: network is down"},
		{dial(syscall.EACCES), apart, "this host cannot connect to it: permission denied"},
		{dial(syscall.EPERM), apart, "this host cannot connect to it: operation not permitted"},
		{dial(syscall.EINVAL), apart, "this host cannot connect to it: invalid argument"},
		{dial(syscall.EHOSTUNREACH), kind{Unreachable: true, OutOfReach: true}, "it does not answer"},
		{dial(syscall.ECONNREFUSED), kind{Refused: true}, "it refuses connections"},
		{&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}, kind{Unreachable: true, OutOfReach: true},
			"its name does not resolve"},
		{resolverFault(&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true, IsTemporary: true}),
			kind{Unreachable: true, OutOfReach: true}, "its name does not resolve"},
		{resolverFault(&net.DNSError{Err: "server misbehaving", Name: "a", IsTemporary: true}), apart, resolverFails},
		{resolverFault(&net.DNSError{Err: "i/o timeout", Name: "a", IsTimeout: true}), apart, resolverFails},
		{resolverFault(dial(syscall.ECONNREFUSED)), kind{Refused: true}, "it refuses connections"},
		{unwrapped(&net.DNSError{Err: "socket: too many open files", Name: "a"}), exhausted,
			"this host cannot connect to it: too many open files"},
		{ErrLoading, kind{}, ErrLoading.Error()},
		{nil, kind{}, ""},
	} {
		got := kind{Exhausted(tt.err), LocalFault(tt.err), Unreachable(tt.err), OutOfReach(tt.err), Refused(tt.err)}
		if got != tt.want || Summary(tt.err) != tt.summary {
			t.Errorf("%v: got %+v, %q", tt.err, got, Summary(tt.err))
		}
	}
	if err := namingLimit(dial(syscall.EMFILE)); !Exhausted(err) || err.Error() == dial(syscall.EMFILE).Error() {
		t.Errorf("the limit is not named: %v", err)
	}
}

// A probe that this host could not make changes nothing of what is known.
func TestWatcher_Unasked(t *testing.T) {
	known := Status{RunID: "a"}
	refused := error(syscall.ECONNREFUSED)
	fault := error(syscall.EMFILE)
	for _, tt := range []struct {
		name         string
		before, want Health
	}{
		{"nothing is known", Health{}, Health{Err: fault, LocalErr: fault}},
		{"it was down at the start", Health{Err: refused}, Health{Err: refused, LocalErr: fault}},
		{"it was usable", Health{Status: known}, Health{Status: known, LocalErr: fault}},
		{"it was down", Health{Status: known, Err: refused}, Health{Status: known, Err: refused, LocalErr: fault}},
	} {
		w := watcher{health: tt.before}
		same := func(a, b error) bool { return a == b }
		if d := cmp.Diff(tt.want, w.unasked(fault), cmp.Comparer(same)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		if w.learn(known, nil, time.Now()); w.health.LocalErr != nil || w.health.Err != nil {
			t.Errorf("%s: after an answer: %+v", tt.name, w.health)
		}
	}
}

// A name that does not resolve any more leads to its last address. A refusal there says nothing about the name.
func TestLastAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const name = "redis.invalid" // which no resolver knows
	dial := func(last *lastAddresses) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		conn, err := last.dialTCP(ctx, &net.Dialer{}, net.JoinHostPort(name, port))
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	if err := dial(&lastAddresses{byName: map[string]string{}}); !unresolved(err) {
		t.Errorf("a name that was never known: %v", err)
	}
	remembered := map[string]string{name: "127.0.0.1"}
	if err := dial(&lastAddresses{byName: remembered}); err != nil {
		t.Errorf("a name that was known: %v", err)
	}
	_ = l.Close() // from now on it refuses
	if err := dial(&lastAddresses{byName: remembered}); !unresolved(err) || Refused(err) {
		t.Errorf("its last address refuses: %v", err)
	}
	local := lastAddresses{byName: map[string]string{}}
	if _, err := local.dialTCP(t.Context(), &net.Dialer{}, net.JoinHostPort("localhost", port)); !Refused(err) {
		t.Errorf("it refuses: %v", err)
	}
	if again, err := net.Listen("tcp", net.JoinHostPort("localhost", port)); err == nil {
		defer again.Close()
		conn, err := local.dialTCP(t.Context(), &net.Dialer{}, net.JoinHostPort("localhost", port))
		if err != nil || local.of("localhost") == "" {
			t.Fatalf("%q, %v", local.of("localhost"), err)
		}
		_ = conn.Close()
		if conn, err = local.dialTCP(t.Context(), &net.Dialer{}, net.JoinHostPort("localhost", port)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	} else if !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}

// A resolver that fails is a fault of this host's own, unless the name's last address is known: then a server was asked, and did
// not answer.
func TestDialTCP_ResolverFails(t *testing.T) {
	t.Parallel()
	const silent, serverFailure, noSuchName = -1, 2, 3
	for _, tt := range []struct {
		name  string
		rcode int
		known bool // the last address, which refuses connections
		fault bool
	}{
		{"the resolver has no answer", serverFailure, false, true},
		{"the resolver is silent", silent, false, true},
		{"there is no such name", noSuchName, false, false},
		{"the resolver has no answer, and the last address refuses", serverFailure, true, false},
		{"the resolver is silent, and the last address refuses", silent, true, false},
	} {
		last := lastAddresses{byName: map[string]string{}}
		if tt.known {
			last.byName["redis.invalid"] = "127.0.0.1"
		}
		dns := dnsServer(t, tt.rcode)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		d := net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", dns)
		}}}
		_, err := last.dialTCP(ctx, &d, "redis.invalid:1")
		cancel()
		if LocalFault(err) != tt.fault || Unreachable(err) == tt.fault || Exhausted(err) || Refused(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// dnsServer starts a name server that answers each query with that code; below 0: it does not answer.
func dnsServer(t *testing.T, rcode int) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); serving.Wait() })
	serving.Go(func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if rcode >= 0 {
				buf[2], buf[3] = buf[2]|0x80, 0x80|byte(rcode) // it is a reply, and recursion is available
				_, _ = conn.WriteTo(buf[:n], from)
			}
		}
	})
	return conn.LocalAddr().String()
}
