package commands

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/scripts/lab"
)

// replaceByPipe replaces a file by a named pipe without a writer: opening it hangs.
func replaceByPipe(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // lets the read return
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			_ = f.Close()
		}
	})
}

// Files on a file system that hangs: every value stays in use, and no call waits for more than its timeout.
func TestFilesThatHang(t *testing.T) {
	t.Parallel()
	l, dir := lab.ForTest(t), t.TempDir()
	authority, err := l.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue("agent")
	if err != nil {
		t.Fatal(err)
	}
	password, replication, token := filepath.Join(dir, "password"), filepath.Join(dir, "replication"), filepath.Join(dir, "token")
	for _, file := range []string{password, replication, token} {
		if err := os.WriteFile(file, []byte(filepath.Base(file)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, hanging := range []struct{ name, path string }{
		{"REDIS_PASSWORD_FILE", password}, {"REDIS_REPLICATION_PASSWORD_FILE", replication}, {"CONSUL_HTTP_TOKEN_FILE", token},
		{"REDIS_CACERT", authority.CA}, {"REDIS_CLIENT_CERT", cert}, {"REDIS_CLIENT_KEY", key},
	} {
		t.Run(hanging.name, func(t *testing.T) {
			data, err := os.ReadFile(hanging.path)
			if err != nil {
				t.Fatal(err)
			}
			var log logged
			r := redisAccess{passFile: password, replFile: replication, tls: true, caCert: authority.CA, cert: cert, key: key}
			if err := r.prepare(log.logger()); err != nil {
				t.Fatal(err)
			}
			c := config{log: log.logger()}
			c.consul.TokenFile = token
			readToken, err := c.token()
			if err != nil {
				t.Fatal(err)
			}
			replaceByPipe(t, hanging.path)
			began := time.Now()
			for range 20 {
				if got := r.login().Password; got != "password" {
					t.Errorf("the password is %q", got)
				}
				if got := r.replication().Password; got != "replication" {
					t.Errorf("the password for replication is %q", got)
				}
				if got := readToken(); got != "token" {
					t.Errorf("the token is %q", got)
				}
				if got := r.config(); got == nil || got.RootCAs == nil || len(got.Certificates) != 1 {
					t.Errorf("the TLS configuration is %+v", got)
				}
			}
			if took := time.Since(began); took > 20*reloadTimeout {
				t.Errorf("20 rounds took %s, although a hang costs %s once", took, reloadTimeout)
			}
			text, n := log.String(), 0
			for line := range strings.Lines(text) {
				if strings.Contains(line, "reload_failed") && strings.Contains(line, hanging.name) {
					n++
				}
			}
			if n != 1 { // on a busy machine another file may be slow, too
				t.Errorf("%d lines name %s, want one:\n%s", n, hanging.name, text)
			}
			if f, err := os.OpenFile(hanging.path, os.O_RDWR, 0); err == nil {
				_ = f.Close()
			}
			if err := errors.Join(os.Remove(hanging.path), os.WriteFile(hanging.path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A file of Consul's client that hangs at the start ends the program with a line that names its variable.
func TestClient_FileThatHangs(t *testing.T) {
	t.Parallel()
	for variable, set := range map[string]func(*api.TLSConfig, string){
		api.HTTPCAFile:     func(c *api.TLSConfig, path string) { c.CAFile = path },
		api.HTTPCAPath:     func(c *api.TLSConfig, path string) { c.CAPath = filepath.Dir(path) },
		api.HTTPClientCert: func(c *api.TLSConfig, path string) { c.CertFile, c.KeyFile = path, path },
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "ca.pem")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { // the read that hangs ends
				if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
					_ = f.Close()
				}
			})
			var c config
			set(&c.consul.TLSConfig, pipe)
			if _, err := c.client(); !errors.Is(err, errSlowFile) || !strings.Contains(err.Error(), variable) {
				t.Errorf("got %v", err)
			}
		})
	}
}
