package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// allowed is a token with the README's policy, for a cluster's own names.
func allowed(t *testing.T, k *lab.Cluster) string {
	t.Helper()
	ok(t, k.Policy(strings.NewReplacer(`"resec/`, `"`+k.Name+`/`, `"redis-`, `"`+k.Name+`-`).Replace(lab.Block(t, lab.SecurityPage, "hcl policy"))))
	return renewed(t, k)
}

// renewed is one more token with that policy.
func renewed(t *testing.T, k *lab.Cluster) string {
	t.Helper()
	token, err := k.NewToken("")
	ok(t, err)
	return token
}

// What agents, commands, hooks, the catalogue and the state show has no secret in it, whatever goes wrong.
func TestSecure03_SecretsAreNotTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hook := "env >>" + dir + "/env; cat >>" + dir + "/events; cat /proc/$PPID/cmdline >>" + dir + "/titles"
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Settings: lab.Deny, RedisArgs: leastACL(t), Env: []string{
		"REDIS_USERNAME=resec", "REDIS_PASSWORD=" + agentsPassword, "REDIS_REPLICATION_USERNAME=replica", "REDIS_REPLICATION_PASSWORD=" + linksPassword,
		"ON_PROMOTE=" + hook, "ON_REPLICATE=" + hook, "ON_FENCE=" + hook}})
	token := allowed(t, k)
	k.Env = append(k.Env, "CONSUL_HTTP_TOKEN="+token)
	p, err := k.Resec("flagged", 2, "agent", "-redis-password="+agentsPassword, "-redis-replication-password", linksPassword, "-token", token, "-listen-addr", web(k, 2))
	ok(t, err)
	k.Agents[2] = p
	answering(t, k, 0)
	answering(t, k, 1)
	m := started(t, k)

	do(t, k.Redis[m], "ACL", "SETUSER", "resec", "resetpass", ">other") // logins are refused
	do(t, k.Redis[m], "CLIENT", "KILL", "USER", "resec")
	lab.Eventually(t, patience, func() error { return k.Agents[m].Said("event=redis_access_denied") })
	do(t, k.Redis[m], "ACL", "SETUSER", "resec", "resetpass", ">"+agentsPassword)
	ok(t, k.Revoke(token))
	for _, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return a.Said("ACL not found") })
	}
	_, err = k.NewToken(token)
	ok(t, err)
	whole(t, k)
	m, err = k.Master()
	ok(t, err)
	k.Redis[m].Kill()
	var next int
	lab.Eventually(t, patience, func() (err error) { next, err = k.Linked(); return err })
	ok(t, k.Redis[m].Restart())
	whole(t, k)

	shown := map[string]string{}
	for i, a := range k.Agents {
		a.Signal(syscall.SIGUSR1)
		lab.Eventually(t, patience, func() error { return a.Said(" msg=state event=state id=") })
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.PID()))
		ok(t, err)
		shown[a.Name+"'s title"] = string(title)
		for _, path := range []string{"/health", "/master", "/replica", "/status", "/metrics"} {
			_, body, err := answer(t.Context(), "GET", web(k, i), path)
			ok(t, err)
			shown[a.Name+" "+path] = body
		}
	}
	for _, args := range [][]string{{"status"}, {"status", "-json"}, {"history"}, {"history", "-json"}, {"switchover", "-dry-run"}, {"agent", "-redis-password-file=" + agentsPassword}, {"agent", "-token-file=" + agentsPassword}} {
		out, stderr, _, err := k.Run(next, "", args...)
		ok(t, err)
		shown[strings.Join(args, " ")] = out + stderr
	}
	kept, _, err := k.Consul.Client.KV().List("", nil)
	ok(t, err)
	services, err := k.Consul.Client.Agent().Services()
	ok(t, err)
	all, err := json.Marshal(services)
	ok(t, err)
	shown["services"] = string(all)
	for _, kv := range kept {
		shown["key "+kv.Key] = string(kv.Value)
	}
	files, err := filepath.Glob(dir + "/*")
	ok(t, err)
	if len(files) != 3 {
		t.Errorf("hooks have left %v", files)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		ok(t, err)
		shown[f] = string(data)
	}
	ok(t, k.Stop())
	for _, a := range k.Agents {
		shown[a.Name+"'s log"] = a.Output()
	}
	for what, text := range shown {
		for _, secret := range []string{agentsPassword, linksPassword, token} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows a secret:\n%s", what, text)
			}
		}
	}
}

// A token is revoked while the cluster is healthy, and its file has a new one later: meanwhile it is as if Consul were down.
func TestSecure04_TokenIsRevokedAndRenewed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Settings: lab.Deny, Env: []string{"CONSUL_HTTP_TOKEN_FILE=" + file}})
	token := allowed(t, k)
	ok(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	m := started(t, k)
	w := watched(t, k)
	ok(t, k.Revoke(token))
	for _, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return a.Said("ACL not found") })
	}
	throughout(t, 10*time.Second, func() error { return errors.Join(neverTwo(w)(), notRefused(w)) })
	ok(t, os.WriteFile(file, []byte(renewed(t, k)), 0o600))
	v, now := judged(t, k, w)
	if err := errors.Join(v.NothingLost(), v.NeverTwo(0), notRefused(w)); err != nil || now != m {
		t.Errorf("%s leads: %v", k.Redis[now].Name, err)
	}
	ok(t, k.Stop())
}

// The master's own token is taken away, and the others keep theirs: it is as if Consul were away for that one.
func TestSecure04_MastersTokenIsRevoked(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1, Settings: lab.Deny})
	tokens := make([]string, 3)
	tokens[0] = allowed(t, k)
	for i := range k.Redis {
		if tokens[i] == "" {
			tokens[i] = renewed(t, k)
		}
		ok(t, k.Agent(i, "CONSUL_HTTP_TOKEN="+tokens[i]))
	}
	m := started(t, k)
	w := watched(t, k)
	ok(t, k.Revoke(tokens[m]))
	succeeded(t, k, w, m)
	ok(t, neverTwo(w)())
	_, err := k.Agents[m].Stop(syscall.SIGTERM)
	ok(t, err)
	ok(t, k.Agent(m, "CONSUL_HTTP_TOKEN="+renewed(t, k)))
	v := became(t, k, w, m)
	ok(t, errors.Join(v.NothingLost(), v.NeverTwo(0), k.Stop()))
}

// Clusters on one Consul, each with a policy for its own names alone, do not touch one another: not even an agent of one that is
// given the other's token.
func TestSecure04_ClustersApart(t *testing.T) {
	t.Parallel()
	one := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1, Settings: lab.Deny})
	two := planned(t, lab.Plan{Members: 2, StartParked: true, Consul: one.Consul})
	foreign := allowed(t, one)
	one.Env = append(one.Env, "CONSUL_HTTP_TOKEN="+foreign)
	two.Env = append(two.Env, "CONSUL_HTTP_TOKEN="+allowed(t, two))
	m, n := started(t, one), started(t, two)
	ok(t, errors.Join(one.Settled(0), two.Settled(0)))
	before, err := stateOf(two)
	ok(t, err)

	astray := others(two, n)[0]
	two.Agents[astray].Kill()
	p, err := two.Resec("astray", astray, "agent", "-token", foreign)
	ok(t, err)
	lab.Eventually(t, patience, func() error { return p.Said("lacks permission '") })
	one.Redis[m].Kill()
	lab.Eventually(t, patience, func() error { return one.Redis[others(one, m)[0]].Is("role", "master") })
	throughout(t, 5*time.Second, func() error { return two.Redis[n].Is("role", "master") })
	if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("the agent that went astray left with %d: %v", code, err)
	}
	ok(t, two.Agent(astray))
	ok(t, one.Redis[m].Restart())
	whole(t, one)
	whole(t, two)
	if after, err := stateOf(two); err != nil || after.Master.Term != before.Master.Term {
		t.Errorf("the other cluster is in term %d, and was in %d: %v", after.Master.Term, before.Master.Term, err)
	}
	ok(t, errors.Join(one.Stop(), two.Stop()))
}

// Consul speaks TLS alone to the agents, and asks for their certificates.
func TestSecure05_ConsulByTLS(t *testing.T) {
	t.Parallel()
	ca, err := lab.ForTest(t).NewAuthority()
	ok(t, err)
	cert, key, err := ca.Issue("consul", "consul.test")
	ok(t, err)
	mine, minesKey, err := ca.Issue("agents")
	ok(t, err)
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1, Settings: map[string]any{
		"ports": map[string]int{"serf_wan": -1, "grpc": -1, "grpc_tls": -1, "https": 8501},
		"tls": map[string]any{"defaults": map[string]any{"ca_file": ca.CA, "cert_file": cert, "key_file": key},
			"https": map[string]any{"verify_incoming": true}}}})
	k.Env = append(k.Env, "CONSUL_HTTP_ADDR="+k.Consul.Host+":8501", "CONSUL_HTTP_SSL=true", "CONSUL_CACERT="+ca.CA, "CONSUL_TLS_SERVER_NAME=consul.test")
	p, err := k.Resec("stranger", 0, "agent") // without a certificate
	ok(t, err)
	lab.Eventually(t, patience, func() error { return p.Said("certificate") })
	p.Kill()
	k.Env = append(k.Env, "CONSUL_CLIENT_CERT="+mine, "CONSUL_CLIENT_KEY="+minesKey)
	m := started(t, k)
	k.Redis[m].Kill()
	succeededBy(t, k, m)
	ok(t, k.Redis[m].Restart())
	whole(t, k)
	ok(t, k.Stop())
}

// A namespace and a partition are passed on: the community edition of Consul refuses them.
func TestSecure05_Namespace(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	for variable, says := range map[string]string{"CONSUL_NAMESPACE": "Namespaces are a Consul Enterprise feature", "CONSUL_PARTITION": "Partitions are a Consul Enterprise feature"} {
		k.Env = append(k.Env, variable+"=elsewhere")
		p, err := k.Resec(variable, 0, "agent")
		ok(t, err)
		lab.Eventually(t, patience, func() error { return p.Said(says) })
		p.Kill()
		k.Env = k.Env[:len(k.Env)-1]
	}
}
