package commands

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/scripts/lab"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// events are the events of the lines so far.
func (l *logged) events() (events []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, field := range strings.Fields(l.text.String()) {
		if event, ok := strings.CutPrefix(field, "event="); ok {
			events = append(events, event)
		}
	}
	return events
}

// A read that hangs costs one reloadTimeout, however often the value is needed, and one goroutine. Its value is used once it
// returns.
func TestReloading_ReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		var hang atomic.Bool
		var reads atomic.Int32
		resume := make(chan int)
		get, err := reloading(log.logger(), "NAME", func() (int, error) {
			reads.Add(1)
			if hang.Load() {
				return <-resume, nil
			}
			return 1, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		hang.Store(true)
		began := time.Now()
		for range 100 {
			if got := get(); got != 1 {
				t.Errorf("got %d, want the last value", got)
			}
		}
		if took := time.Since(began); took != reloadTimeout {
			t.Errorf("100 calls took %s, want %s", took, reloadTimeout)
		}
		if n := reads.Load(); n != 2 {
			t.Errorf("%d reads, want 2: the first, and one that hangs", n)
		}
		hang.Store(false)
		resume <- 2
		synctest.Wait()
		if got := get(); got != 1 || reads.Load() != 3 {
			t.Errorf("got %d after %d reads, want a new read", got, reads.Load())
		}
		if want := []string{"reload_failed", "reload_recovered"}; !slices.Equal(log.events(), want) {
			t.Errorf("logged %q, want %q", log.events(), want)
		}
	})
}

// Callers share a read that is under way, and its value.
func TestReloading_SharesARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		var reads atomic.Int32
		get, err := reloading(log.logger(), "NAME", func() (int32, error) {
			<-time.After(reloadTimeout / 2)
			return reads.Add(1), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if got := get(); got != 2 {
					t.Errorf("got %d, want the value of the second read", got)
				}
			})
		}
		calls.Wait()
		if len(log.events()) != 0 {
			t.Errorf("logged %q", log.events())
		}
	})
}

func TestReloading_FirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		fails := func() (int, error) { return 0, broken }
		if get, err := reloading(slog.New(slog.DiscardHandler), "NAME", fails); err != broken || get != nil {
			t.Errorf("got %v, want the error of the read", err)
		}
		began := time.Now()
		resume := make(chan int)
		_, err := reloading(slog.New(slog.DiscardHandler), "NAME", func() (int, error) { return <-resume, nil })
		if !errors.Is(err, errSlowFile) || !strings.Contains(err.Error(), "NAME") || time.Since(began) != firstLoadTimeout {
			t.Errorf("got %v after %s, want an error that names the variable after %s", err, time.Since(began), firstLoadTimeout)
		}
		close(resume)
	})
}

// Each kind of failure is logged once, and the recovery too.
func TestReloading_LogsChanges(t *testing.T) {
	var log logged
	one, two := errors.New("one"), errors.New("two")
	results := []error{nil, nil, one, one, two, two, nil, nil, one}
	i := -1
	get, err := reloading(log.logger(), "NAME", func() (int, error) { i++; return i, results[i] })
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{1, 1, 1, 1, 1, 6, 7, 7} {
		if got := get(); got != want {
			t.Errorf("call %d: got %d, want %d", n, got, want)
		}
	}
	want := []string{"reload_failed", "reload_failed", "reload_recovered", "reload_failed"}
	if !slices.Equal(log.events(), want) {
		t.Errorf("logged %q, want %q", log.events(), want)
	}
	if text := log.text.String(); !strings.Contains(text, "variable=NAME") || !strings.Contains(text, "err=two") {
		t.Errorf("the log lacks the variable or the error:\n%s", text)
	}
}

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
			text, n := log.text.String(), 0
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

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, want, err string }{
		{"one line", "secret\n", "secret", ""},
		{"without an end of line", "secret", "secret", ""},
		{"with the end of line of Windows", "secret\r\n", "secret", ""},
		{"spaces belong to it", " a b \n", " a b ", ""},
		{"the longest", strings.Repeat("x", maxSecret), strings.Repeat("x", maxSecret), ""},
		{"a longer one", strings.Repeat("x", maxSecret+1), "", "takes a file of one line of at most 4096 bytes"},
		{"two lines", "a\nb\n", "", "takes a file of one line of at most 4096 bytes"},
		{"an empty file", "", "", "takes a file of one line of at most 4096 bytes"},
		{"an empty line", "\n", "", "takes a file of one line of at most 4096 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "secret")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readSecret(file)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
	const secret = "my-secret-instead-of-a-path"
	_, err := readSecret(filepath.Join(dir, secret))
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want os.ErrNotExist without the path", err)
	}
	if _, err := readSecret(dir); err == nil {
		t.Error("a folder is read as a secret")
	}
}

func TestHide(t *testing.T) {
	for _, tt := range []struct{ name, args, want string }{
		{"a value of its own", "resec agent -redis-password secret -token abc", "resec agent -redis-password ****** -token ***"},
		{"a value behind =",
			"resec agent --redis-replication-password=secret", "resec agent --redis-replication-password=******"},
		{"a value that contains =", "resec -token=a=b", "resec -token=***"},
		{"other flags", "resec agent -redis-addr host:1 password", "resec agent -redis-addr host:1 password"},
		{"an argument that is no flag", "resec token abc", "resec token abc"},
		{"a flag without a value", "resec -token", "resec -token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(strings.Clone(tt.args))
			for i := range args {
				args[i] = strings.Clone(args[i])
			}
			copied := Hide(args)
			if got := strings.Join(copied, " "); got != tt.args {
				t.Errorf("the copy is %q, want %q", got, tt.args)
			}
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("the original is %q, want %q", got, tt.want)
			}
		})
	}
}
