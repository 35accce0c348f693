package stories_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// haproxy starts an HAProxy that sends connections to the member whose /master answers 200, and returns its address.
func haproxy(t *testing.T, k *lab.Cluster) string {
	t.Helper()
	_, err := lab.Need("haproxy")
	ok(t, err)
	addr := net.JoinHostPort(lab.Host(), "6379")
	conf := []string{"defaults", "  mode tcp", "  timeout connect 1s", "  timeout client 1m", "  timeout server 1m", "  timeout check 1s",
		"listen redis", "  bind " + addr, "  option httpchk GET /master", "  http-check expect status 200",
		"  default-server check port " + webPort + " inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions"}
	for i, r := range k.Redis {
		conf = append(conf, fmt.Sprintf("  server m%d %s", i, r.Addr))
	}
	file := filepath.Join(k.Dir, k.Name+"-haproxy.cfg")
	ok(t, os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o644))
	p, err := k.Start(k.Name+"-haproxy", nil, "haproxy", "-db", "-f", file)
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", p.Name, p.Output())
		}
	})
	return addr
}

// A client that knows only HAProxy always writes to the master.
func TestOperate03_HAProxySendsWritesToTheMaster(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	m := answeringAll(t, k)
	healthy(t, k, 0, 1, 2)
	addr := haproxy(t, k)
	w := lab.Writing{Find: func(context.Context) (string, error) { return addr, nil }, Pace: 5 * time.Millisecond}.Start(t.Context())
	defer w.Stop()
	arrive := func(m int) { // what is written from now on arrives at the m-th alone, which is the master
		t.Helper()
		n := w.Acked()
		lab.Eventually(t, patience, func() error { return w.Wrote(n + 100) })
		leads(t, k, m)
		run, err := k.Redis[m].Info("run_id")
		ok(t, err)
		for range 30 { // three members: one that was sent to any of them would meet another
			if got, err := runBehind(t.Context(), addr); err != nil || got != run {
				t.Fatalf("a new client gets to run %s, and the master m%d is %s: %v", got, m, run, err)
			}
		}
		if lost, err := w.LostOn(k.Redis[m]); err != nil || len(lost) > 0 {
			t.Errorf("%d of %d writes are not on the master m%d: %v", len(lost), w.Acked(), m, err)
		}
	}
	lab.Eventually(t, patience, func() error { return w.Wrote(1) })
	arrive(m)

	began := w.Acked()
	code, err := k.Agents[m].Stop(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Fatalf("the master's agent left with %d: %v", code, err)
	}
	next := succeeds(t, k, m)
	arrive(next)
	t.Logf("handed over after %d writes, none lost; the longest outage %s; errors %v", began, w.Longest().Lasted().Round(time.Millisecond), w.Errors())
	answering(t, k, m)
	healthy(t, k, m)

	// What a killed master had acknowledged and not sent on may be lost: a second client counts what comes after it.
	w.Stop()
	kill(k.Redis[next].Process)
	killed := time.Now()
	w = lab.Writing{Find: func(context.Context) (string, error) { return addr, nil }, Pace: 5 * time.Millisecond}.Start(t.Context())
	lab.Eventually(t, patience, func() error { return w.Wrote(1) })
	t.Logf("after a kill the first write is acknowledged after %s; errors %v", time.Since(killed).Round(time.Millisecond), w.Errors())
	last := succeeds(t, k, next)
	arrive(last)
	ok(t, k.Redis[next].Restart())
	healthy(t, k, 0, 1, 2)
	arrive(last)
	whole(t, k)
	ok(t, k.Stop())
}

// runBehind is the run of the Redis that a new connection to the address gets to.
func runBehind(ctx context.Context, addr string) (run string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte("INFO server\r\n")); err != nil {
		return "", err
	}
	for in := bufio.NewScanner(conn); in.Scan(); {
		if run, found := strings.CutPrefix(in.Text(), "run_id:"); found {
			return run, nil
		}
	}
	return "", errors.New("the connection ended")
}

// succeeds waits until another than the m-th says that it is the master, and returns which.
func succeeds(t *testing.T, k *lab.Cluster, m int) (next int) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		for _, i := range others(k, m) {
			if answers(t, k, i, "/master", 200, "") == nil {
				next = i
				return nil
			}
		}
		return errors.New("no other member says that it is the master")
	})
	return next
}
