package stories_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// switched runs `resec switchover`, and returns the pause that it prints.
func switched(t *testing.T, k *lab.Cluster, args ...string) time.Duration {
	t.Helper()
	out, stderr, code, err := k.Run(0, "", append([]string{"switchover"}, args...)...)
	for try := 1; code == 4 && strings.Contains(stderr, "failed: ") && try < 3; try++ { // Consul had so much to do that a lease ended
		t.Logf("asked again: %s", stderr)
		whole(t, k)
		out, stderr, code, err = k.Run(0, "", append([]string{"switchover"}, args...)...)
	}
	if err != nil || code != 0 {
		t.Fatalf("switchover: exit %d %v\n%s%s", code, err, out, stderr)
	}
	found := regexp.MustCompile(`writes were held back for ([0-9.]+) ms`).FindStringSubmatch(out)
	if found == nil && strings.Contains(out, "is unknown") { // Consul had too much to do to note it
		return 0
	} else if found == nil {
		t.Fatalf("switchover says\n%s", out)
	}
	d, err := time.ParseDuration(found[1] + "ms")
	ok(t, err)
	return d
}

// refusal runs a command that must be refused, with that.
func refusal(t *testing.T, k *lab.Cluster, want string, args ...string) {
	t.Helper()
	out, stderr, code, err := k.Run(0, "", args...)
	if err != nil || code == 0 || !strings.Contains(stderr, want) {
		t.Errorf("%s: exit %d %v, not refused with %q:\n%s%s", args, code, err, want, out, stderr)
	}
}

// accepted returns nil if a server has accepted a write lately.
func accepted(w *lab.Watch, lately time.Duration) error {
	for _, all := range w.Prober.Accepted() {
		if len(all) > 0 && time.Since(all[len(all)-1].To) < lately {
			return nil
		}
	}
	return errors.New("no server accepts writes")
}

// The master changes again and again while a client writes as fast as it can. The test is not parallel: it uses the whole
// machine.
func TestOperate01_SwitchoverAgainAndAgain(t *testing.T) {
	repeat := map[int]int{2: 5, 3: 10}
	if *all {
		repeat = map[int]int{2: 10, 3: 50}
	}
	for n, times := range repeat {
		t.Run(fmt.Sprint(n, " members"), func(t *testing.T) {
			k := planned(t, lab.Plan{Members: n, StartParked: true})
			last := started(t, k)
			fig, w := figures(t), watched(t, k)
			full := k.Writing(0).Start(t.Context())
			t.Cleanup(full.Stop)
			for range times {
				fig.note("write pause, as printed", switched(t, k))
				lab.Eventually(t, patience, func() error {
					m, err := k.Linked()
					if err == nil && m == last {
						err = errors.New("the master has not moved")
					}
					return errors.Join(err, recorded(k))
				})
				m, err := k.Master()
				ok(t, err)
				last = m
			}
			full.Stop()
			v, _ := judged(t, k, w)
			t.Logf("%d writes at full speed", full.Acked())
			if lost, err := full.LostOn(k.Redis[last]); err != nil || len(lost) > 0 {
				t.Errorf("%d of %d writes at full speed are lost: %v", len(lost), full.Acked(), err)
			}
			fig.note("write pause, longest", pause(w))
			for _, err := range []error{v.Sound(), v.NoResync(), unfenced(k), k.Stop()} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// At each step the new master fails, or its connection to the old one. Afterwards there is a writable master, no fence or
// pause is left, and no write is lost.
func TestOperate01_SwitchoverFails(t *testing.T) {
	t.Parallel()
	for i, step := range []string{"elected", "peers_parked", "paused", "fenced", "drained", "parked", "promoted", "published"} {
		for j, what := range []string{"its redis dies", "its redis freezes", "it loses its link", "its agent dies"} {
			if (i+j)%4 != 0 && !*all {
				continue
			}
			t.Run(step+", "+what, func(t *testing.T) {
				t.Parallel()
				servers := 0
				if what == "it loses its link" {
					servers = 1
				}
				k := planned(t, lab.Plan{Members: 3, StartParked: true, Network: servers > 0, Servers: servers, Env: []string{"GUARD_MAX_LAG=2s"}})
				at := t.TempDir()
				ok(t, k.Agent(0))
				published(t, k, 0)
				ok(t, k.Agent(1, "RESEC_HALT_AT="+step, "RESEC_HALT_IN="+at))
				ok(t, k.Agent(2))
				whole(t, k)
				leads(t, k, 0)
				before, _ := stands(t, k)
				term, w := before.Master.Term, watched(t, k)
				done := make(chan int, 1)
				go func() {
					out, stderr, code, err := k.Run(2, "", "switchover", "-to", "m1", "-timeout", "5s")
					t.Logf("exit %d %v: %s%s", code, err, out, stderr)
					done <- code
				}()
				lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(at, "halted")); return err })
				switch what {
				case "its redis dies":
					k.Redis[1].Kill()
				case "its redis freezes":
					k.Redis[1].Freeze()
				case "it loses its link":
					ok(t, k.Net.Cut(k.Hosts[0], k.Hosts[1], lab.Drop))
				case "its agent dies":
					k.Agents[1].Kill()
				}
				ok(t, os.WriteFile(filepath.Join(at, "go"), nil, 0o600))
				code := <-done
				p, _ := stands(t, k)
				if code != 4 && !(code == 0 && p.Master.Term > term) { // it was accepted
					t.Errorf("switchover exits with %d, and %s is master, term %d", code, p.Master.ID, p.Master.Term)
				}
				lab.Eventually(t, patience, func() error { return accepted(w, time.Second) }) // another member leads before that one is back
				switch what {
				case "its redis dies":
					ok(t, k.Redis[1].Restart())
				case "its redis freezes":
					k.Redis[1].Thaw()
				case "it loses its link":
					ok(t, k.Heal(k.Hosts[0]))
				case "its agent dies":
					ok(t, k.Agent(1))
				}
				v, _ := judged(t, k, w)
				most := time.Duration(0)
				if what == "its redis freezes" {
					most = 50 * time.Millisecond
				}
				for _, err := range []error{v.NothingLost(), v.NeverTwo(most), v.NeverTwoListed(0), unfenced(k), k.Stop()} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// A switchover that is impossible is refused with its reason, and the master stays.
func TestOperate01_SwitchoverRefused(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	w := watched(t, k)
	one := others(k, m)[0]
	id := func(i int) string { return fmt.Sprint("m", i) }
	refusal(t, k, "there is no member nobody", "switchover", "-to", "nobody")
	refusal(t, k, id(m)+" is the master already", "switchover", "-to", id(m))
	refusal(t, k, id(m)+" is the master already", "switchover", "-to", k.Redis[m].Addr)
	do(t, k.Redis[one], "CONFIG", "SET", "replica-priority", "0")
	refusal(t, k, "its replica-priority is 0", "switchover", "-to", id(one))
	do(t, k.Redis[one], "CONFIG", "SET", "replica-priority", "100")
	k.Agents[one].Freeze() // or it would give its session up
	k.Redis[one].Freeze()
	refusal(t, k, "does not answer", "switchover", "-to", id(one))
	k.Redis[one].Thaw()
	k.Agents[one].Thaw()
	whole(t, k)
	_, _, code, err := k.Run(0, "", "pause", "-for", "1m", "-reason", "a new switch")
	if ok(t, err); code != 0 {
		t.Fatalf("pause exits with %d", code)
	}
	refusal(t, k, "a new switch", "switchover")
	refusal(t, k, "a new switch", "failover", "-to", id(one), "-force")
	_, _, code, err = k.Run(0, "", "resume")
	if ok(t, err); code != 0 {
		t.Fatalf("resume exits with %d", code)
	}
	out, _, code, err := k.Run(0, "", "switchover", "-dry-run", "-to", k.Redis[one].Addr)
	if err != nil || code != 0 || !strings.Contains(out, id(one)+" would lead") {
		t.Errorf("a dry run exits with %d %v: %s", code, err, out)
	}
	v, now := judged(t, k, w)
	if err := errors.Join(v.Sound(), k.Stop()); err != nil || now != m {
		t.Errorf("m%d leads, was m%d: %v", now, m, err)
	}
}
