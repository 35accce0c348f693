package commands_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// `resec sentinel` answers with a user, a password that may change, and TLS. It is registered as a service, which it removes when
// it is stopped, and SENTINEL FAILOVER moves the master.
func TestSentinel_PasswordTLSAndFailover(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	expect.OK(t, k.Go())
	ca, err := lab.ForTest(t).NewAuthority()
	expect.OK(t, err)
	cert, key, err := ca.Issue("endpoint", "127.0.0.1")
	expect.OK(t, err)
	secret := filepath.Join(t.TempDir(), "secret")
	expect.OK(t, os.WriteFile(secret, []byte("first\n"), 0o600))
	port, err := lab.FreePort("127.0.0.1")
	expect.OK(t, err)
	p, err := k.Resec("endpoint", 0, "sentinel", "-sentinel-addr", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), "-sentinel-username", "app",
		"-sentinel-password-file", secret, "-sentinel-tls-cert", cert, "-sentinel-tls-key", key, "-sentinel-master", "mine")
	expect.OK(t, err)
	cli := func(password string, args ...string) string {
		out, _ := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "--tls", "--cacert", ca.CA,
			"--user", "app", "--pass", password, "--no-auth-warning"}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	master := func() string {
		m, err := k.Master()
		expect.OK(t, err)
		return strings.Replace(k.Redis[m].Addr, ":", "\n", 1)
	}
	lab.Eventually(t, expect.Patience, func() error {
		if got := cli("first", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine"); got != master() {
			return fmt.Errorf("got %q, want %q", got, master())
		}
		return nil
	})
	if got := cli("wrong", "PING"); !strings.Contains(got, "WRONGPASS") {
		t.Errorf("a wrong password: %s", got)
	}
	expect.OK(t, os.WriteFile(secret, []byte("second\n"), 0o600))
	expect.Equal(t, "the new password", cli("second", "PING"), "PONG")
	registered := func() int {
		found, _, err := k.Consul.Client.Health().Service(k.Name+"-sentinel", "", true, nil)
		expect.OK(t, err)
		return len(found)
	}
	expect.Equal(t, "registered endpoints", registered(), 1)
	old := master()
	expect.Equal(t, "failover", cli("second", "SENTINEL", "FAILOVER", "mine"), "OK")
	if master() == old {
		t.Error("the master has not moved")
	}
	lab.Eventually(t, expect.Patience, func() error {
		if got := cli("second", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine"); got != master() {
			return fmt.Errorf("got %q, want %q", got, master())
		}
		return nil
	})
	_, _, _, err = k.Run(0, "", "pause", "-for", "1h")
	expect.OK(t, err)
	if got := cli("second", "SENTINEL", "FAILOVER", "mine"); !strings.HasPrefix(got, "NOGOODSLAVE refused: the cluster is paused") {
		t.Errorf("a paused cluster: %s", got)
	}
	p.Signal(syscall.SIGTERM)
	exits(t, p, 0)
	expect.Equal(t, "registered endpoints at the end", registered(), 0)
	expect.OK(t, k.Stop())
}
