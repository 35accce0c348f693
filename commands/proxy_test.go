package commands_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// `resec proxy -register` is a service while it runs. Its check warns while there is no master. A client that has waited for -hold
// gets an error, and later ones the master.
func TestProxy_RegistersAndHolds(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	write, web := freeAddr(t), freeAddr(t)
	p, err := k.Resec("proxy", 0, "proxy", "-write-addr", write, "-listen-addr", web, "-register", "-hold", "100ms")
	expect.OK(t, err)
	get := func(path string) (code int, text string) {
		r, err := http.Get("http://" + web + path)
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		expect.OK(t, err)
		return r.StatusCode, strings.TrimSpace(string(body))
	}
	answers := func(wantCode int, want string) {
		t.Helper()
		lab.Eventually(t, expect.Patience, func() error {
			if code, text := get("/health"); code != wantCode || !strings.HasPrefix(text, want) {
				return fmt.Errorf("/health: %d %s", code, text)
			}
			return nil
		})
	}
	registered := func(status string) {
		t.Helper()
		lab.Eventually(t, expect.Patience, func() error {
			found, _, err := k.Consul.Client.Health().Service(k.Name+"-proxy", "", false, nil)
			if err != nil || len(found) != 1 || found[0].Checks.AggregatedStatus() != status {
				return fmt.Errorf("%d entries, not one that is %s: %w", len(found), status, err)
			}
			return nil
		})
	}
	answers(503, "there is no master that accepts writes")
	registered(api.HealthWarning)
	expect.Equal(t, "without a master", says(t, write, "PING"), "-ERR no master")
	expect.OK(t, k.Go())
	answers(200, "connects clients to m")
	registered(api.HealthPassing)
	expect.Equal(t, "with a master", says(t, write, "SET a 1"), "+OK")
	for _, want := range []string{`resec_proxy_refused_total{port="write"} 1`, `resec_proxy_held_total{port="write"} 1`} {
		if _, text := get("/metrics"); !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s:\n%s", want, text)
		}
	}
	p.Signal(syscall.SIGTERM)
	exits(t, p, 0)
	found, _, err := k.Consul.Client.Health().Service(k.Name+"-proxy", "", false, nil)
	if err != nil || len(found) > 0 {
		t.Errorf("after its end %d entries: %v", len(found), err)
	}
	expect.OK(t, k.Stop())
}

// The policy that the pages give for hosts of clients is enough under a default policy of deny.
func TestProxy_UnderACLs(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", lab.Deny)
	expect.OK(t, err)
	k := clusterOn(t, c, 2)
	token := func(block string) string {
		rules := strings.NewReplacer(`"resec/`, `"`+k.Name+`/`, `"redis-`, `"`+k.Name+`-`).Replace(lab.Block(t, lab.SecurityPage, block))
		name := strings.ReplaceAll(block, " ", "-")
		_, _, err := c.Client.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
		expect.OK(t, err)
		tok, _, err := c.Client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
		expect.OK(t, err)
		return "CONSUL_HTTP_TOKEN=" + tok.SecretID
	}
	k.Env = append(k.Env, token("hcl policy"))
	expect.OK(t, k.Go())
	k.Env[len(k.Env)-1] = token("hcl clients-policy")
	write, endpoint := freeAddr(t), freeAddr(t)
	proxy, err := k.Resec("proxy", 0, "proxy", "-write-addr", write, "-register")
	expect.OK(t, err)
	sentinel, err := k.Resec("endpoint", 0, "sentinel", "-sentinel-addr", endpoint)
	expect.OK(t, err)
	for _, role := range []string{"-proxy", "-sentinel"} {
		lab.Eventually(t, expect.Patience, func() error {
			found, _, err := c.Client.Health().Service(k.Name+role, "", true, nil)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d passing entries of %s", len(found), role)
			}
			return err
		})
	}
	expect.Equal(t, "through the proxy", says(t, write, "SET a 1"), "+OK")
	expect.Equal(t, "from the endpoint", says(t, endpoint, "SENTINEL GET-MASTER-ADDR-BY-NAME "+k.Name), "*2")
	for _, p := range []*lab.Process{proxy, sentinel} {
		for _, bad := range []string{"ermission", "level=ERROR", "_failed"} {
			if strings.Contains(p.Output(), bad) {
				t.Errorf("%s says %s:\n%s", p.Name, bad, p.Output())
			}
		}
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
	expect.OK(t, k.Stop())
}

// freeAddr is an address at which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	port, err := lab.FreePort("127.0.0.1")
	expect.OK(t, err)
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
}

// says sends a line, and returns the first line of the answer.
func says(t *testing.T, addr, line string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	expect.OK(t, err)
	defer conn.Close()
	expect.OK(t, conn.SetDeadline(time.Now().Add(expect.Patience)))
	_, err = io.WriteString(conn, line+"\r\n")
	expect.OK(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	expect.OK(t, err)
	return strings.TrimSpace(answer)
}
