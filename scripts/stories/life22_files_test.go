package stories_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// fileHangs replaces a file by a pipe that nobody writes to, as a file on a network file system whose server is gone.
func fileHangs(t *testing.T, path string) {
	t.Helper()
	ok(t, errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)))
	t.Cleanup(func() { // the read that hangs ends
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			_ = f.Close()
		}
	})
}

// Files of passwords and of the token that hang on every host delay neither a failover, nor an answer by HTTP, nor a stop.
func TestLife22_FilesThatHang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	password, replication, token := file("password", "secret"), file("replication", "secret"), file("token", "none")
	k := planned(t, lab.Plan{Members: 2, StartParked: true,
		RedisArgs: []string{"--requirepass", "secret", "--masterauth", "secret"},
		Env: []string{"REDIS_PASSWORD_FILE=" + password, "REDIS_REPLICATION_PASSWORD_FILE=" + replication,
			"CONSUL_HTTP_TOKEN_FILE=" + token}})
	m := answeringAll(t, k)
	for _, path := range []string{password, replication, token} {
		fileHangs(t, path)
	}
	fig, died := figures(t), time.Now()
	k.Redis[m].Kill()
	next := succeededBy(t, k, m)
	fig.within("a new master", time.Since(died), 10*time.Second)
	healthy(t, k, next)
	ok(t, k.Redis[m].Start())
	whole(t, k)
	stopped(t, k, m, next)
}
