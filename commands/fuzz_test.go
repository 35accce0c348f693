package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Any value of a variable is either accepted, and then safe to give to Redis and Consul, or refused.
func FuzzSettings(f *testing.F) {
	for _, v := range []string{"", "127.0.0.1:6379", ":0", "[::1]:6379", "5s", "-1", "auto", "a,b", "$(touch x)", "x\x00y", "é"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		c := &config{}
		for _, s := range c.settings(^group(0)) {
			if err := s.set(v); err != nil && strings.TrimSpace(s.takes) == "" {
				t.Errorf("%s has no text for what it takes", s.name)
			}
		}
		if c.redisAddr != "" {
			if _, _, err := splitAddr(c.redisAddr); err != nil {
				t.Errorf("REDIS_ADDR %q became %q", v, c.redisAddr)
			}
		}
		if strings.ContainsAny(c.memberID, " \t\r\n\x00") || strings.HasPrefix(c.lockKey, "/") ||
			strings.ContainsAny(c.naming.Prefix, " /?#%") {
			t.Errorf("%q was accepted as %q, %q, %q", v, c.memberID, c.lockKey, c.naming.Prefix)
		}
	})
}

// readSecret accepts any file: it returns one line of limited length, or an error.
func FuzzSecret(f *testing.F) {
	f.Add([]byte("secret\n"))
	f.Add([]byte("two\nlines"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readSecret(file); err == nil && (s == "" || len(s) > maxSecret || strings.ContainsAny(s, "\r\n")) {
			t.Errorf("%q is read as %q", data, s)
		}
	})
}
