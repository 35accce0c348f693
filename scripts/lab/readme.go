package lab

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The pages that have blocks which tests run or parse.
const (
	ReadmePage   = "README.md"
	HandlersPage = "handlers/README.md"
	SecurityPage = "scripts/deploy/security.md"
)

// Block is a fenced block of a page, by its info string.
func Block(t testing.TB, page, info string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(info) + "\n(.*?)^```").FindSubmatch(data)
	if m == nil {
		t.Fatalf("%s has no block %q", page, info)
	}
	return string(m[1])
}
