package stories_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// What is released is built from a checkout without changes, whose changelog speaks of it; it says its version, and its checksums hold.
func TestRelease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	checkout, out := filepath.Join(dir, "checkout"), filepath.Join(dir, "out")
	tool(t, dir, "git", "clone", "-q", lab.Root(), checkout)
	release := func(version string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "scripts/release", version, out)
		cmd.Dir = checkout
		if !*all {
			cmd.Env = append(os.Environ(), "TARGETS=linux/"+runtime.GOARCH)
		}
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	for version, want := range map[string]string{"1.2": "takes a version such as v1.2.3", "v99.0.0": "CHANGELOG.md has no entry"} {
		if said, err := release(version); err == nil || !strings.Contains(said, want) {
			t.Errorf("%s: %v %s", version, err, said)
		}
	}
	log := filepath.Join(checkout, "CHANGELOG.md")
	text, err := os.ReadFile(log)
	ok(t, err)
	ok(t, os.WriteFile(log, []byte(string(text)+"\n## v99.0.0 (2099-01-01)\n\n- Nothing.\n"), 0o644))
	if said, err := release("v99.0.0"); err == nil || !strings.Contains(said, "the checkout has changes") {
		t.Errorf("%v %s", err, said)
	}
	tool(t, checkout, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qam", "release")
	if said, err := release("v99.0.0"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	tool(t, out, "sha256sum", "--check", "--quiet", "resec-v99.0.0-SHA256SUMS")
	said := tool(t, out, filepath.Join(out, "resec-v99.0.0-linux-"+runtime.GOARCH), "version")
	commit := strings.TrimSpace(tool(t, checkout, "git", "rev-parse", "--short=12", "HEAD"))
	if want := "resec v99.0.0, commit " + commit + ", " + runtime.Version(); strings.TrimSpace(said) != want {
		t.Errorf("it says %q, not %q", said, want)
	}
}
