package stories_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The end of a connection is a question, not an answer: whatever ends it, nothing moves.
func TestLead07_ConnectionsEnd(t *testing.T) {
	t.Parallel()
	killed := func(t *testing.T, k *lab.Cluster, same func() error) {
		for range 50 {
			for _, r := range k.Redis {
				do(t, r, "CLIENT", "KILL", "TYPE", "normal")
				do(t, r, "CLIENT", "KILL", "TYPE", "pubsub")
			}
			ok(t, same())
		}
	}
	for _, v := range []struct {
		name string
		end  func(*testing.T, *lab.Cluster, func() error)
	}{
		{"killed 50 times", killed},
		{"killed 50 times, once an interval begins", func(t *testing.T, k *lab.Cluster, same func() error) {
			for range 3 {
				throughout(t, 300*time.Millisecond, same)
				killed(t, k, same)
			}
		}},
		{"closed when idle for 1 s", func(t *testing.T, k *lab.Cluster, same func() error) {
			for _, r := range k.Redis {
				do(t, r, "CONFIG", "SET", "timeout", "1")
			}
			throughout(t, 6*time.Second, same)
		}},
		{"the ACL file is loaded again", func(t *testing.T, k *lab.Cluster, same func() error) {
			for range 10 {
				for _, r := range k.Redis {
					do(t, r, "ACL", "LOAD") // makes every user anew, and ends the connections of all but the default one
				}
				ok(t, same())
			}
		}},
		{"the agents' user is changed", func(t *testing.T, k *lab.Cluster, same func() error) {
			for _, rules := range [][]string{
				{"resetpass", ">other"}, // the old password is denied
				{">secret"},
				{"off"},
				{"on"},
				{"-info"},
				{"+info"},
			} {
				for _, r := range k.Redis {
					do(t, r, append([]string{"ACL", "SETUSER", "resec"}, rules...)...)
					do(t, r, "CLIENT", "KILL", "USER", "resec")
				}
				ok(t, same())
			}
		}},
		{"the agents' user is deleted and made again", func(t *testing.T, k *lab.Cluster, same func() error) {
			for range 10 {
				for _, r := range k.Redis {
					do(t, r, "ACL", "DELUSER", "resec") // ends its connections
					do(t, r, append([]string{"ACL", "SETUSER"}, agentsUser...)...)
				}
				ok(t, same())
			}
		}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			users := filepath.Join(t.TempDir(), "users.acl")
			ok(t, os.WriteFile(users, []byte("user default on nopass ~* &* +@all\nuser "+strings.Join(agentsUser, " ")+"\n"), 0o644))
			k := cluster(t, 3, "--aclfile", users)
			k.Env = append(k.Env, "REDIS_USERNAME=resec", "REDIS_PASSWORD=secret")
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
			keep(t, stored.n, k.Redis...)
			before, session := stands(t, k)
			// But for the replicas' links, which end with the user that they logged in as; without any the guard closes the
			// master.
			same := func() error {
				errs := []error{k.Redis[m].Is("role", "master")}
				for _, i := range others(k, m) {
					errs = append(errs, k.Redis[i].Is("role", "slave", "master_host", k.Redis[m].Host))
				}
				if _, err := k.Redis[m].Do("SET", "writable", "1"); err != nil && !strings.HasPrefix(err.Error(), "NOREPLICAS") {
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			}
			v.end(t, k, same)
			throughout(t, 3*time.Second, same)
			whole(t, k, stored)
			if after, now := stands(t, k); after.Master != before.Master || now != session {
				t.Errorf("it moved from %+v to %+v, from session %s to %s", before.Master, after.Master, session, now)
			}
			ok(t, k.Stop())
		})
	}
}

// agentsUser is what the agents and the replicas log in as.
var agentsUser = []string{"resec", "reset", "on", ">secret", "resetkeys", "resetchannels", "&resec", "-@all", "+ping", "+info", "+role",
	"+dbsize", "+hello", "+replicaof", "+slaveof", "+failover", "+config|get", "+config|set", "+client|pause", "+client|unpause",
	"+client|kill", "+client|list", "+client|setname", "+client|id", "+subscribe", "+unsubscribe", "+psync", "+replconf"}

// What an operator changes by hand is put right within an interval, and the log says so.
func TestLead07_ByHand(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		master  bool // done to the master
		do      []string
		writing bool // a write gets in meanwhile
	}{
		{"a replica is promoted by hand", false, []string{"REPLICAOF", "NO", "ONE"}, false},
		{"a replica is promoted by hand and takes a write", false, []string{"REPLICAOF", "NO", "ONE"}, true},
		{"a replica is parked", false, []string{"REPLICAOF", "127.0.0.1", "1"}, false},
		{"a replica is pointed at the other one", false, []string{"REPLICAOF", "the other replica"}, false},
		{"a replica is made writable", false, []string{"CONFIG", "SET", "replica-read-only", "no"}, true},
		{"the master is parked", true, []string{"REPLICAOF", "127.0.0.1", "1"}, false},
		{"the master is fenced", true, []string{"CONFIG", "SET", "min-replicas-to-write", "2147483647"}, false},
		{"the master is pointed at its replica", true, []string{"REPLICAOF", "the other replica"}, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 3)
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
			keep(t, stored.n, k.Redis...)
			one, other := (m+1)%3, (m+2)%3
			if v.master {
				one = m
			}
			args := append([]string{}, v.do...)
			if args[1] == "the other replica" {
				args = []string{"REPLICAOF", k.Redis[other].Host, "6379"}
			}
			said := len(k.Agents[one].Output())
			do(t, k.Redis[one], args...)
			if v.writing {
				_, _ = k.Redis[one].Do("SET", "astray", "1") // the agent may have been faster
			}
			// An interval is a second; a busy machine gets a few more.
			lab.Eventually(t, 5*time.Second, func() error {
				if v.do[0] == "CONFIG" && v.master {
					_, err := k.Redis[m].Do("SET", "writable", "1")
					return err
				}
				if v.do[0] == "CONFIG" {
					got, err := k.Redis[one].Do("CONFIG", "GET", "replica-read-only")
					if err == nil && !strings.Contains(got, "yes") {
						err = errors.New(got)
					}
					return err
				}
				return sameRoles(k, m)
			})
			lab.Eventually(t, patience, func() error { return loud(k.Agents[one].Output()[said:]) })
			whole(t, k, stored)
			leads(t, k, m)
			ok(t, k.Stop())
		})
	}
}

// loud returns nil if a log has a line that an operator would see.
func loud(log string) error {
	for _, level := range []string{"level=INFO", "level=WARN", "level=ERROR"} {
		if strings.Contains(log, level) {
			return nil
		}
	}
	return errors.New("the log says nothing of it:\n" + log)
}
