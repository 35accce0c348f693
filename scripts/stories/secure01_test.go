package stories_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The lab's own user may do everything; the agents' and the replicas' may do what the README gives them.
const labsPassword, agentsPassword, linksPassword = "lab-s3cret", "agent-s3cret", "link-s3cret"

// leastACL are the arguments of a redis-server with the README's ACL.
func leastACL(t *testing.T) []string {
	t.Helper()
	args := []string{"--requirepass", labsPassword}
	acl := strings.NewReplacer("AGENTS-PASSWORD", agentsPassword, "REPLICAS-PASSWORD", linksPassword).Replace(lab.Block(t, lab.SecurityPage, "redis acl"))
	for _, user := range nonEmpty(acl) {
		args = append(args, append([]string{"--user"}, strings.Fields(strings.TrimPrefix(user, "user "))...)...)
	}
	return args
}

// secured is a cluster of three with the README's ACL, by TLS alone or without, whose agents have their passwords from the files
// agent and link.
func secured(t *testing.T, tls bool) (k *lab.Cluster, files string) {
	t.Helper()
	dir := t.TempDir()
	agent, link := filepath.Join(dir, "agent"), filepath.Join(dir, "link")
	ok(t, errors.Join(os.WriteFile(agent, []byte(agentsPassword+"\n"), 0o600), os.WriteFile(link, []byte(linksPassword), 0o600)))
	p := lab.Plan{Members: 3, StartParked: true, Persist: lab.RDB, RedisArgs: leastACL(t), Env: []string{"REDIS_USERNAME=resec", "REDIS_PASSWORD_FILE=" + agent,
		"REDIS_REPLICATION_USERNAME=replica", "REDIS_REPLICATION_PASSWORD_FILE=" + link}}
	if tls {
		var err error
		p.TLS, err = lab.ForTest(t).NewAuthority()
		ok(t, err)
	}
	return planned(t, p), dir
}

// A whole life with no more than the README's ACL: elect, switchover, failover, an agent that leaves, a restart of all.
func TestSecure01_LeastACL(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		t.Run(named(tls, "TLS alone"), func(t *testing.T) {
			t.Parallel()
			k, _ := secured(t, tls)
			stored := wrote(t, k, started(t, k), keys{prefix: "stored", n: 1000})
			w := watched(t, k)
			switched(t, k)
			whole(t, k, stored)
			m, err := k.Master()
			ok(t, err)
			ok(t, denials(k.Redis[m]))

			k.Redis[m].Kill()
			next := succeededBy(t, k, m)
			ok(t, k.Redis[m].Restart())
			whole(t, k, stored)

			terminate(t, map[*lab.Process]time.Duration{k.Agents[next]: 0})
			succeededBy(t, k, next)
			ok(t, k.Agent(next))
			whole(t, k, stored)
			ok(t, neverTwo(w)())
			w.Stop()

			for i := range k.Redis {
				ok(t, denials(k.Redis[i])) // which a restart forgets, as those of the one that was killed
				ok(t, k.Redis[i].Save())
				k.Crash(i)
			}
			for i := range k.Redis {
				ok(t, k.Boot(i))
			}
			whole(t, k, stored)
			for i := range k.Redis {
				ok(t, denials(k.Redis[i]))
				if said := k.Agents[i].Output(); strings.Contains(said, "NOPERM") {
					t.Errorf("something is not allowed:\n%s", said)
				}
			}
			ok(t, k.Stop())
		})
	}
}

// denials returns nil if a server's ACL has refused nothing.
func denials(r *lab.Redis) error {
	log, err := r.Do("ACL", "LOG")
	if err == nil && log != "[]" {
		err = fmt.Errorf("%s has refused: %s", r.Name, log)
	}
	return err
}

// The password is changed as Redis's ACL wants that: the new one beside the old one, then in the file, then alone. Nothing
// moves, and every connection that is made afterwards has the new one.
func TestSecure02_PasswordChanged(t *testing.T) {
	t.Parallel()
	k, files := secured(t, false)
	m := started(t, k)
	w := watched(t, k)
	const fresh = "fresh-s3cret"
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "resec", ">"+fresh)
	}
	ok(t, os.WriteFile(filepath.Join(files, "agent"), []byte(fresh+"\n"), 0o600))
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "resec", "<"+agentsPassword)
		do(t, r, "CLIENT", "KILL", "USER", "resec")
	}
	whole(t, k)
	ok(t, os.Remove(filepath.Join(files, "agent"))) // what was read last continues
	for i, r := range k.Redis {
		do(t, r, "CLIENT", "KILL", "USER", "resec")
		lab.Eventually(t, patience, func() error { return k.Agents[i].Said("cannot reload credentials or certificates") })
	}
	whole(t, k)
	leads(t, k, m)
	ok(t, errors.Join(notRefused(w), neverTwo(w)()))
	k.Redis[m].Kill()
	succeededBy(t, k, m)
}

// The replicas' password is changed while they replicate: their links end, and come back with the new one.
func TestSecure02_ReplicationPasswordChanged(t *testing.T) {
	t.Parallel()
	k, files := secured(t, false)
	m := started(t, k)
	const fresh = "fresh-s3cret"
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "replica", ">"+fresh)
	}
	ok(t, os.WriteFile(filepath.Join(files, "link"), []byte(fresh), 0o600))
	for i := range k.Redis {
		lab.Eventually(t, patience, func() error {
			if got := do(t, k.Redis[i], "CONFIG", "GET", "masterauth"); !strings.Contains(got, fresh) {
				return fmt.Errorf("masterauth of %s is %s", k.Redis[i].Name, got)
			}
			return nil
		})
	}
	for _, r := range k.Redis {
		do(t, r, "ACL", "SETUSER", "replica", "<"+linksPassword)
		do(t, r, "CLIENT", "KILL", "TYPE", "replica")
	}
	whole(t, k)
	leads(t, k, m)
}

// A handler that is resec itself reads the password from its file, and gets no other secret.
func TestSecure02_Handlers(t *testing.T) {
	t.Parallel()
	k, _ := secured(t, false)
	bin, err := lab.Resec()
	ok(t, err)
	k.Env = append(k.Env, "CONSUL_HTTP_TOKEN="+lab.Token) // which this Consul does not ask for
	env := filepath.Join(t.TempDir(), "env")
	p, err := k.Resec("elect", 0, "elect", "env >"+env+"; "+bin+" promote")
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		return errors.Join(k.Redis[0].IsMaster(0), p.Said("a secret is not passed to handlers"), p.Said("CONSUL_HTTP_TOKEN"))
	})
	p.Kill()
	told, err := os.ReadFile(env)
	ok(t, err)
	if s := string(told); !strings.Contains(s, "REDIS_PASSWORD_FILE=") || strings.Contains(s, lab.Token) || strings.Contains(s, agentsPassword) {
		t.Errorf("the handler has the environment\n%s", s)
	}
}
