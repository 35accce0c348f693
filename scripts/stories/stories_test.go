// Package stories_test tests a whole cluster on real servers: each test is one story of how people lose data. The design's
// invariants have these stories; the walk looks at I1 to I6 as well:
//
//   - I1, one server accepts writes: Write04, Write06, Write08, Write12.
//   - I2, one passing master is listed: Write07; lab.Verdict in all that watch.
//   - I3, no acknowledged write is lost: Write01, Write03, Operate01, Early; lab.Writer counts.
//   - I4, no data is overwritten: Lead02, Lead03, Lead07, Lead10.
//   - I5, the cluster recovers: whole, in all.
//   - I6, nothing is left behind: lab.Cluster.Stop, in all.
//   - I7, a fault of ours is none of another's: Life07 (descriptors, names, no route), Write04 (a process that was stopped), Life08
//     (a log that nobody reads), Life22 (files that hang).
package stories_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

// patience is how long a machine with too much to do may take for what takes a second or two.
const patience = 60 * time.Second

// bornParked makes a Redis come up read-only, waiting for an election.
var bornParked = []string{"--replicaof", "127.0.0.1", "1"}

// all is set by scripts/soak: run every variant, instead of enough variants to meet each circumstance once.
var all = flag.Bool("all", false, "run every variant of a story")

// turn reports whether one run takes the variant with these circumstances, numbered: it takes every other one, so that each
// is met.
func turn(circumstances ...int) bool {
	sum := 0
	for _, n := range circumstances {
		sum += n
	}
	return *all || sum%2 == 0
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shared are the Consul servers of the stories that do not harm them. One agent that all of them register with cannot keep up: it
// passes one change after the other on to its servers, and blocks other calls meanwhile.
var shared [4]struct {
	sync.Once
	*lab.Consul
	err error
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	// A story waits more than it works: by default four times as many at once as there are processors.
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		_ = p.Value.Set(strconv.Itoa(4 * runtime.GOMAXPROCS(0)))
	}
	dir, err := os.MkdirTemp("", "resec-stories-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l := lab.New(dir)
	common = l
	code := m.Run()
	l.Close()
	lab.Remove()
	_ = os.RemoveAll(dir)
	return code
}

// common is the lab of what stories share.
var common *lab.Lab

// clusters numbers the clusters: a test that is run again must not find the state of its last run.
var clusters atomic.Int64

// cluster is n Redis servers on the shared Consul.
func cluster(t *testing.T, n int, redisArgs ...string) *lab.Cluster {
	t.Helper()
	return planned(t, lab.Plan{Members: n, RedisArgs: redisArgs})
}

// planned is a cluster with a name of its own, and without a Consul of its own on a shared one.
func planned(t *testing.T, p lab.Plan) *lab.Cluster {
	t.Helper()
	n := clusters.Add(1)
	if p.Servers == 0 && p.Consul == nil {
		s := &shared[n%int64(len(shared))]
		s.Do(func() { s.Consul, s.err = common.StartConsul(fmt.Sprint("consul", n), nil) })
		ok(t, s.err)
		p.Consul = s.Consul
	}
	p.Name = fmt.Sprint("lead", n)
	k, err := lab.ForTest(t).NewPlanned(p)
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			tell(t, k)
		}
	})
	return k
}

// tell logs the state and the logs of a cluster.
func tell(t *testing.T, k *lab.Cluster) {
	pairs, _, err := k.Consul.Client.KV().List(lockKey(k), nil)
	for _, p := range pairs {
		t.Logf("%s, session %q: %s", p.Key, p.Session, p.Value)
	}
	if len(k.Redis) > 0 {
		out, stderr, code, err2 := k.Run(0, "", "status")
		t.Logf("%v; resec status: exit %d %v\n%s%s", err, code, err2, out, stderr)
	}
	for _, r := range k.Redis {
		t.Logf("%s at %s:\n%s", r.Name, r.Addr, r.Output())
	}
	for _, a := range k.Agents {
		if a != nil {
			t.Logf("%s:\n%s", a.Name, a.Output())
		}
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do runs a command that must be done.
func do(t *testing.T, r *lab.Redis, args ...string) string {
	t.Helper()
	v, err := r.Do(args...)
	if err != nil {
		t.Fatalf("%s: %v: %v", r.Name, args, err)
	}
	return v
}

// started is a cluster whose agents have settled on the m-th Redis as master, all of them recorded.
func started(t *testing.T, k *lab.Cluster) (m int) {
	t.Helper()
	for i := range k.Redis {
		if k.Agents[i] == nil {
			ok(t, k.Agent(i))
		}
	}
	whole(t, k)
	m, err := k.Master()
	ok(t, err)
	return m
}

// whole waits until the cluster is as it should be: one master, each other running Redis its replica, the catalogue and
// the record saying just that, and every key on each of them.
func whole(t *testing.T, k *lab.Cluster, sets ...keys) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lab.Eventually(t, patience, func() error { <-tick.C; return errors.Join(k.Settled(0), recorded(k)) })
	for _, r := range k.Redis {
		if r.Running() {
			for _, s := range sets {
				ok(t, s.on(r))
			}
		}
	}
}

// published waits until the catalogue names the i-th Redis as the master.
func published(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
		if err == nil && addr != k.Redis[i].Addr {
			err = fmt.Errorf("the master is at %s, not at %s", addr, k.Redis[i].Addr)
		}
		return err
	})
}

// leads fails the test if the m-th Redis is not the master.
func leads(t *testing.T, k *lab.Cluster, m int) {
	t.Helper()
	if got, err := k.Master(); err != nil || got != m {
		t.Fatalf("the master is %d, not %d: %v", got, m, err)
	}
}

// kill kills processes at the same moment.
func kill(ps ...*lab.Process) {
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(p.Kill)
	}
	wg.Wait()
}

// throughout holds an invariant for a time that the story itself is about.
func throughout(t *testing.T, d time.Duration, invariant func() error) {
	t.Helper()
	end := time.Now().Add(d)
	lab.Eventually(t, d+patience, func() error {
		if err := invariant(); err != nil {
			t.Fatal(err)
		}
		if time.Now().Before(end) {
			return errors.New("it is not over yet")
		}
		return nil
	})
}

// others are the indices of a cluster's Redis servers but those given.
func others(k *lab.Cluster, but ...int) (out []int) {
	for i := range k.Redis {
		if !slices.Contains(but, i) {
			out = append(out, i)
		}
	}
	return out
}
