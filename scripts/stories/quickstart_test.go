package stories_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The README's quick start, on a network of its own with the ports that it names: a cluster, a failover, and a member that comes back.
func TestDeploy10_Quickstart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "quickstart.sh"), []byte(lab.Block(t, lab.ReadmePage, "sh quickstart")), 0o600))
	resec, err := lab.Resec()
	ok(t, err)
	consul, err := lab.Need("consul")
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c",
		"ip link set lo up && . ./quickstart.sh")
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PATH="+strings.Join([]string{filepath.Dir(resec), filepath.Dir(consul), os.Getenv("PATH")}, ":"))
	out, err := cmd.CombinedOutput()
	want := regexp.MustCompile(`(?s)healthy: master (redis-\d+), term 1, 2 streaming replicas\n.*  (redis-\d+) +(redis-\d+) +2 .*` +
		`healthy: master (redis-\d+), term 2, 2 streaming replicas\n`).FindStringSubmatch(string(out))
	if want == nil || want[1] != want[2] || want[3] != want[4] || want[1] == want[3] {
		t.Errorf("%v:\n%s", err, out)
	}
}
