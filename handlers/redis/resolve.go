package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// maxLastAddresses bounds the names whose last address is remembered. Anybody who may register a service may add names.
const maxLastAddresses = 256

// lastAddresses are the addresses to which the names of servers led last. A name that does not resolve for a moment says nothing
// about its server, so the last address is tried then. It is safe for concurrent use.
type lastAddresses struct {
	mu     sync.Mutex
	byName map[string]string
}

var resolved = lastAddresses{byName: map[string]string{}}

// remember notes that a connection to a name was opened.
func (l *lastAddresses) remember(name string, conn net.Conn) {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil || host == name {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.byName[name]; known || len(l.byName) < maxLastAddresses {
		l.byName[name] = host
	}
}

// of returns the last address of a name; empty: it is not known.
func (l *lastAddresses) of(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

// dialTCP connects to addr, host:port. If the host is a name that does not resolve, it connects to the name's last address. If
// that fails, too, it returns the resolver's error: what the last address answers says nothing about the name. Without a last
// address nothing was asked, and a failure of the resolver is a fault of this host's own.
func (l *lastAddresses) dialTCP(ctx context.Context, d *net.Dialer, addr string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil || net.ParseIP(name) != nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	last := l.of(name)
	conn, err := dialName(ctx, d, name, port, last)
	if err == nil {
		l.remember(name, conn)
		return conn, nil
	}
	if !unresolved(err) {
		return nil, err
	}
	if last == "" {
		return nil, resolverFault(unwrapped(err))
	}
	conn, failed := d.DialContext(ctx, "tcp", net.JoinHostPort(last, port))
	if failed == nil || LocalFault(failed) {
		return conn, failed
	}
	return nil, unwrapped(err)
}

// unwrapped returns an error of the resolver's with what made it, if that is a fault of this host's own: it has only the text of
// that.
func unwrapped(err error) error {
	var unresolved *net.DNSError
	if !errors.As(err, &unresolved) {
		return err
	}
	for _, n := range exhaustion {
		if strings.HasSuffix(unresolved.Err, n.Error()) {
			return fmt.Errorf("%w: %w", err, n)
		}
	}
	return err
}

// resolverFault returns an error of the resolver's with errResolver, if the resolver failed: it was silent, or could not answer
// for now. An answer that there is no such name is no failure.
func resolverFault(err error) error {
	var unresolved *net.DNSError
	if !errors.As(err, &unresolved) || unresolved.IsNotFound || !unresolved.IsTemporary && !unresolved.IsTimeout {
		return err
	}
	return fmt.Errorf("%w: %w", err, errResolver)
}

// dialName resolves the name and connects. If a last address is known, the resolver may take half of the time.
func dialName(ctx context.Context, d *net.Dialer, name, port, last string) (net.Conn, error) {
	if end, bounded := ctx.Deadline(); bounded && last != "" {
		lookup, cancel := context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
		if _, err := d.Resolver.LookupHost(lookup, name); err != nil {
			return nil, err
		}
	}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(name, port))
}
