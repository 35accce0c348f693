package stories_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"resec/scripts/lab"
)

// A Redis without CLIENT PAUSE WRITE is refused with one line.
func TestVersions_TooOld(t *testing.T) {
	t.Parallel()
	dir, err := lab.Need("redis-6.0")
	ok(t, err)
	k := cluster(t, 1)
	host := lab.Host()
	_, err = k.Start("old-redis", nil, filepath.Join(dir, "redis-server"), "--bind", host, "--port", "6379", "--save", "", "--dir", t.TempDir())
	ok(t, err)
	for command, exits := range map[string]int{"agent": 1, "promote": 2} {
		lab.Eventually(t, patience, func() error { // it may not listen yet
			_, stderr, code, err := k.Run(0, "", append([]string{command}, "-redis-addr", host+":6379", "-log-level", "ERROR")...)
			ok(t, err)
			if strings.Contains(stderr, "refused") {
				return syscall.ECONNREFUSED
			}
			if want := "redis 6.2 or newer is needed: it is 6.0."; !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || code != exits {
				t.Errorf("%s: exit %d, without %q alone:\n%s", command, code, want, stderr)
			}
			return nil
		})
	}
}
