package commands

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// Certificates are renewed while an agent runs: a connection has those of its moment, and the last ones where there are none.
func TestReach_CertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	l, dir := lab.ForTest(t), t.TempDir()
	r := redisAccess{tls: true, caCert: filepath.Join(dir, "ca"), cert: filepath.Join(dir, "cert"), key: filepath.Join(dir, "key")}
	renewed := func() *lab.Authority {
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
	renewed()
	var log bytes.Buffer
	if err := r.prepare(slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	was := r.config()
	renewed()
	is := r.config()
	if is.RootCAs.Equal(was.RootCAs) || bytes.Equal(is.Certificates[0].Certificate[0], was.Certificates[0].Certificate[0]) {
		t.Error("it goes on with the old ones")
	}
	if err := os.Remove(r.key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c := r.config(); c != is {
			t.Error("without a key it does not go on with what it has")
		}
	}
	if n := strings.Count(log.String(), "what was read before goes on"); n != 1 {
		t.Errorf("that is said %d times:\n%s", n, &log)
	}
}
