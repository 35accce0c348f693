package commands

import (
	"bytes"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// Certificates may be renewed while an agent runs: a connection uses the current ones, or the last ones if they cannot be read.
func TestRedisAccess_ReloadsCertificates(t *testing.T) {
	t.Parallel()
	l, dir := lab.ForTest(t), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	r := redisAccess{tls: true, caCert: path("ca"), cert: path("cert"), key: path("key")}
	renew := func() *lab.Authority {
		a, err := l.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		cert, key, err := a.Issue("agent")
		if err := errors.Join(err, os.Rename(cert, r.cert), os.Rename(key, r.key), os.Rename(a.CA, r.caCert)); err != nil {
			t.Fatal(err)
		}
		return a
	}
	renew()
	var log logged
	if err := r.prepare(log.logger()); err != nil {
		t.Fatal(err)
	}
	before := r.config()
	renew()
	after := r.config()
	leaf := func(c *tls.Config) []byte { return c.Certificates[0].Certificate[0] }
	if after.RootCAs.Equal(before.RootCAs) || bytes.Equal(leaf(after), leaf(before)) {
		t.Error("the old certificates are still in use")
	}
	if err := os.Remove(r.key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c := r.config(); c != after {
			t.Error("without a key the last configuration is not in use")
		}
	}
	if n := strings.Count(log.String(), "reload_failed"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
}
