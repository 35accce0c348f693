package monitor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

var refused = redis.Health{Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED), Status: redis.Status{RunID: "run-a"}}

// A master that refuses connections while our Redis still streams from it is not down. It is once the link has ended.
func TestMonitor_RefusedWhileStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bare(true)
		m.Probe.Timeout = linkEndTimeout // no look may last for longer, and all of them together do
		var log bytes.Buffer
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		master := *clustertest.Situation().View.State.Master
		linkEnds, parked, looks := time.Now().Add(time.Hour), 0, 0
		m.Own = func(ctx context.Context) (redis.Status, error) {
			looks++
			if ctx.Err() != nil {
				return redis.Status{}, ctx.Err()
			}
			return redis.Status{MasterAddr: master.Address, LinkUp: time.Now().Before(linkEnds)}, nil
		}
		m.ParkIfFollowing = func(context.Context, string) (bool, error) { parked++; return true, nil }
		var logged observed
		m.observe(t.Context(), master, refused, &logged)
		if looks < 10 {
			t.Errorf("the link was looked at %d times", looks)
		}
		looks = 0
		m.observe(t.Context(), master, refused, &logged)
		expect.Equal(t, "looks at a link that has outlived a refusal", looks, 1)
		expect.Equal(t, "it is not down", m.Known.Load().Failure, cluster.MasterFailure{RunID: "run-a"})
		expect.Equal(t, "parked", parked, 0)
		expect.Equal(t, "lines", strings.Count(log.String(), "event=master_refuses"), 1)

		asks := m.Own
		m.Own = func(context.Context) (redis.Status, error) { return redis.Status{}, syscall.EMFILE }
		m.observe(t.Context(), master, refused, &logged)
		expect.Equal(t, "it is not down because our redis does not answer", m.Known.Load().Failure.Down, false)
		expect.Equal(t, "parked", parked, 0)
		m.Own = asks

		linkEnds = time.Now()
		m.observe(t.Context(), master, refused, &logged)
		expect.Equal(t, "it is down", m.Known.Load().Failure.Down, true)
		expect.Equal(t, "parked", parked, 1)

		linkEnds = time.Now().Add(5 * time.Millisecond) // the kernel closes the connections of a process a little later
		m.observe(t.Context(), master, refused, &logged)
		expect.Equal(t, "parked", parked, 2)
	})
}

// A Redis that stops listening at an address keeps its connections: its replica streams, and is parked when the link has ended.
func TestMonitor_MasterListensElsewhere(t *testing.T) {
	t.Parallel()
	m, r, own := withRedis(t, true)
	l := lab.ForTest(t)
	other, err := l.StartRedis("master")
	expect.OK(t, err)
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	of := *clustertest.Situation().View.State.Master
	of.Address, of.RunID = other.Addr, runID
	_, err = r.Do("REPLICAOF", other.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return r.Follows(other) })
	_, err = other.Do("CONFIG", "SET", "bind", lab.Host())
	expect.OK(t, err)
	h := refused
	h.Status.RunID = runID
	var logged observed
	m.observe(t.Context(), of, h, &logged)
	st, err := own.Status(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "parked while it streams", st.Parked(), false)
	expect.Equal(t, "down while it streams", m.Known.Load().Failure.Down, false)
	other.Kill()
	lab.Eventually(t, expect.Patience, func() error { return r.Is("master_link_status", "down") })
	m.observe(t.Context(), of, h, &logged)
	st, err = own.Status(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "parked", st.Parked(), true)
}
