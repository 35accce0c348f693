package lab

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Readme is a fenced block of the README, by its info string.
func Readme(t testing.TB, info string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(info) + "\n(.*?)^```").FindSubmatch(data)
	if m == nil {
		t.Fatalf("the README has no block %q", info)
	}
	return string(m[1])
}
