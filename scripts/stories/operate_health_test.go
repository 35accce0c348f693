package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Each path of each member answers, and none shows a secret.
func TestOperate03_Paths(t *testing.T) {
	t.Parallel()
	const secret = "geheim-4711"
	k := planned(t, lab.Plan{Members: 3, RedisArgs: []string{"--requirepass", secret, "--masterauth", secret}, Env: []string{"REDIS_PASSWORD=" + secret}})
	m := answeringAll(t, k)
	healthy(t, k, 0, 1, 2)
	ok(t, errors.Join(answers(t, k, m, "/health", 200, "master, term "), answers(t, k, m, "/master", 200, "master, term "),
		answers(t, k, m, "/replica", 503, "redis is a master")))
	for _, i := range others(k, m) {
		ok(t, errors.Join(answers(t, k, i, "/health", 200, fmt.Sprintf("replica of m%d, ", m)), answers(t, k, i, "/master", 503, "redis is a replica of "+k.Redis[m].Addr),
			answers(t, k, i, "/replica", 200, ""), answers(t, k, i, "/replica?max_lag_bytes=1000000", 200, ""),
			answers(t, k, i, "/replica?max_lag_bytes=much", 400, "must be a whole number")))
		lab.Eventually(t, patience, func() error { return answers(t, k, i, "/replica?max_lag_bytes=0", 200, "0 bytes behind") })
	}
	for i := range k.Redis {
		for _, path := range []string{"/health", "/master", "/replica", "/status", "/metrics", "/nonsense", "/debug/pprof/"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				code, body, err := answer(t.Context(), method, web(k, i), path)
				ok(t, err)
				if strings.Contains(body, secret) {
					t.Errorf("m%d: %s %s shows the password", i, method, path)
				}
				none := path == "/nonsense" || path == "/debug/pprof/"
				if none != (code == 404) || !none && (method == "POST") != (code == 405) || method == "HEAD" && body != "" {
					t.Errorf("m%d: %s %s is %d %q", i, method, path, code, body)
				}
			}
		}
	}
	sameStatus(t, k)
	ok(t, k.Stop())
}

// sameStatus: each agent says what the command does.
func sameStatus(t *testing.T, k *lab.Cluster) {
	t.Helper()
	type report struct {
		Code            int
		Verdict, Holder string
		Term            uint64
		Members         []struct{ ID, Role, Link, Check string }
	}
	for i := range k.Redis {
		lab.Eventually(t, patience, func() error {
			var said, printed report
			_, body, err := answer(t.Context(), "GET", web(k, i), "/status")
			stdout, stderr, code, err2 := k.Run(i, "", "status", "-json")
			err = errors.Join(err, err2, json.Unmarshal([]byte(body), &said), json.Unmarshal([]byte(stdout), &printed))
			if err == nil && (code != 0 || len(said.Members) != len(k.Redis) || fmt.Sprint(said) != fmt.Sprint(printed)) {
				err = fmt.Errorf("m%d says\n%s\nand the command, exit %d\n%s%s", i, body, code, stdout, stderr)
			}
			return err
		})
	}
}

// What is not so any more is said at the next look, whatever the agent knows by then.
func TestOperate03_HealthFollowsRedis(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := answeringAll(t, k)
	r := others(k, m)[0]
	healthy(t, k, 0, 1, 2)

	k.Redis[r].Freeze()
	ok(t, errors.Join(answers(t, k, r, "/health", 503, "it does not answer"), answers(t, k, r, "/replica", 503, "it does not answer")))
	k.Redis[r].Thaw()
	healthy(t, k, r)

	k.Agents[r].Freeze() // or it would put that right at once
	do(t, k.Redis[r], "REPLICAOF", "127.0.0.1", "1")
	k.Agents[r].Thaw()
	healthy(t, k, r)

	kill(k.Redis[r].Process)
	ok(t, answers(t, k, r, "/health", 503, "it refuses connections"))
	code, _, err := answer(t.Context(), "GET", web(k, r), "/metrics")
	if err != nil || code != 200 {
		t.Errorf("/metrics without a redis: %d %v", code, err)
	}
	ok(t, k.Redis[r].Restart())
	healthy(t, k, r)
	whole(t, k)
	ok(t, k.Stop())
}

// A master that cannot be written to is none: its operator wants two replicas, and one hangs.
func TestOperate03_MasterThatRefusesWrites(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3, "--min-replicas-to-write", "2", "--min-replicas-max-lag", "5")
	m := answeringAll(t, k)
	r := others(k, m)[0]
	healthy(t, k, 0, 1, 2)
	k.Redis[r].Freeze()
	lab.Eventually(t, patience, func() error {
		_, err := k.Redis[m].Do("SET", "x", "1")
		if err == nil || !strings.Contains(err.Error(), "NOREPLICAS") {
			return fmt.Errorf("it accepts writes: %v", err)
		}
		return nil
	})
	says := "the master refuses writes: too few replicas are attached"
	ok(t, errors.Join(answers(t, k, m, "/master", 503, says), answers(t, k, m, "/health", 503, says)))
	k.Redis[r].Thaw()
	healthy(t, k, 0, 1, 2)
	ok(t, answers(t, k, m, "/master", 200, "master, term"))
	ok(t, k.Stop())
}

// Nothing is on disk: each member is stopped and returns empty as soon as the last one says that it is healthy. No key
// is lost.
func TestOperate03_RollingUpdateOfAMemoryOnlyCluster(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d members%s", n, named(crash, ", killed")), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true})
				m := answeringAll(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 20_000, size: 1000})
				for i := range k.Redis {
					healthy(t, k, others(k, i)...) // a gate asks all the others, as Nomad's and Kubernetes' do
					if crash {
						kill(k.Agents[i], k.Redis[i].Process)
					} else {
						code, err := k.Agents[i].Stop(syscall.SIGTERM)
						if err != nil || code != 0 {
							t.Fatalf("m%d left with %d: %v", i, code, err)
						}
						kill(k.Redis[i].Process)
					}
					ok(t, k.Redis[i].Restart())
					answering(t, k, i)
					healthy(t, k, i)
					ok(t, stored.on(k.Redis[i]))
				}
				whole(t, k, stored)
				ok(t, k.Stop())
			})
		}
	}
}

// Once another is the master the one that leaves never says again that it is one, nor that it is healthy.
func TestOperate03_LeavingSaysSo(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := answeringAll(t, k)
	healthy(t, k, 0, 1, 2)
	of, stop := poll(t, k, "/master")
	ofHealth, stopHealth := poll(t, k, "/health")
	lab.Eventually(t, patience, func() error {
		if len(of[m].well()) < 10 || len(ofHealth[m].well()) < 10 {
			return errors.New("not looked at yet")
		}
		return nil
	})
	code, err := k.Agents[m].Stop(syscall.SIGTERM)
	left := time.Now()
	if err != nil || code != 0 {
		t.Fatalf("it left with %d: %v", code, err)
	}
	next := -1
	lab.Eventually(t, patience, func() error {
		for _, i := range others(k, m) {
			if len(of[i].well()) > 0 {
				next = i
				return nil
			}
		}
		return errors.New("no other member says that it is the master")
	})
	stop()
	stopHealth()
	ok(t, exclusive(of[m], of[next]))
	for _, s := range ofHealth[m].well() {
		if s.sent.After(of[next].well()[0].answered) {
			t.Errorf("it said that it is healthy %s after another was the master", s.sent.Sub(of[next].well()[0].answered))
		}
	}
	was := of[m].well()
	t.Logf("the old one last said 200 %s before it had left; the new one first %s before", left.Sub(was[len(was)-1].answered), left.Sub(of[next].well()[0].answered))
	ok(t, k.Stop())
}

// The agent listens before it is ready, and says why it is not.
func TestOperate03_BeforeAnythingAnswers(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	addr := web(k, 0)
	ok(t, k.Agent(0, "CONSUL_HTTP_ADDR="+k.Redis[0].Host+":1", "LISTEN_ADDR="+addr))
	lab.Eventually(t, patience, func() error { return answers(t, k, 0, "/health", 503, "the agent is starting") })
	ok(t, errors.Join(answers(t, k, 0, "/master", 503, "the agent is starting"), answers(t, k, 0, "/replica", 503, "the agent is starting"),
		answers(t, k, 0, "/status", 503, "consul does not answer")))
	lab.Eventually(t, patience, func() error {
		if n, err := metric(t, k, 0, "resec_consul_errors_total"); err != nil || n < 1 {
			return fmt.Errorf("%v errors of consul: %w", n, err)
		}
		return nil
	})
	ok(t, k.Stop())

	kill(k.Redis[0].Process)
	answering(t, k, 0)
	lab.Eventually(t, patience, func() error { return answers(t, k, 0, "/health", 503, "the agent is not ready") })
	ok(t, k.Redis[0].Restart())
	healthy(t, k, 0)

	stdout, stderr, code, err := k.Run(0, "", "agent", "-listen-addr", addr)
	want := "resec: listen on LISTEN_ADDR " + addr + ": bind: address already in use\n"
	if err != nil || code != 1 || stderr != want || stdout != "" {
		t.Errorf("a port in use: exit %d %v\n%s%s, want %s", code, err, stdout, stderr, want)
	}
	ok(t, k.Stop())
}
