package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/status"
	"resec/handlers"
)

func TestWaitHealthy(t *testing.T) {
	healthy, degraded, down := status.Report{}, status.Report{Code: status.Degraded}, errors.New("connection refused")
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		limit time.Duration
		looks []any // reports or errors, one after the other; the last one repeats
		want  int
		code  int // -1: an error
	}{
		{"without a wait there is one look", t.Context(), 0, []any{degraded, healthy}, 1, status.Degraded},
		{"a healthy cluster is not waited for", t.Context(), time.Minute, []any{healthy}, 1, status.Healthy},
		{"it becomes healthy", t.Context(), time.Minute, []any{down, degraded, healthy}, 3, status.Healthy},
		{"it does not", t.Context(), 50 * time.Millisecond, []any{degraded}, 2, status.Degraded},
		{"consul does not answer", t.Context(), 50 * time.Millisecond, []any{down}, 2, -1},
		{"an interruption ends it with the last look", interrupted, time.Minute, []any{degraded}, 1, status.Degraded},
	} {
		looks := 0
		got, err := waitHealthy(tt.ctx, tt.limit, func() (status.Report, error) {
			look := tt.looks[min(looks, len(tt.looks)-1)]
			looks++
			if err, failed := look.(error); failed {
				return status.Report{}, err
			}
			return look.(status.Report), nil
		})
		if looks != tt.want || (err != nil) != (tt.code == -1) || err == nil && got.Code != tt.code {
			t.Errorf("%s: %d looks, code %d, %v", tt.name, looks, got.Code, err)
		}
	}
}

// The columns that are seldom needed are there with -wide. Colour is around the verdict alone.
func TestWriteStatus(t *testing.T) {
	age := 0.5
	r := status.Report{Code: status.Degraded, Verdict: "degraded: it is so", Members: []status.Member{{ID: "a", Address: "a:1", Role: "master",
		Holder: true, Term: 7, Offset: 42, Check: "passing", Version: "7.0.15", Source: "redis", Age: &age}}}
	for _, tt := range []struct {
		wide, colour bool
		want         string
	}{
		{false, false, "ID  ADDRESS  ROLE    LOCK  LINK  BEHIND  GUARD  CHECK    NOTE\n" +
			"a   a:1      master  held  -     -       -      passing  -\ndegraded: it is so\n"},
		{true, true, "ID  ADDRESS  ROLE    LOCK  TERM  LINK  OFFSET  BEHIND  GUARD  CHECK    REDIS   FROM              NOTE\n" +
			"a   a:1      master  held  7     -     42      -       -      passing  7.0.15  redis, 0.5 s ago  -\n" +
			"\x1b[33mdegraded: it is so\x1b[0m\n"},
	} {
		var out strings.Builder
		expect.OK(t, writeStatus(&out, r, tt.wide, tt.colour))
		expect.Equal(t, "status", out.String(), tt.want)
	}
}

func TestStage(t *testing.T) {
	before := published("a", 4, func(v *cluster.View) { v.Session, v.Holder = "s", "a" })
	now := func(change func(*cluster.View)) cluster.View {
		v := before
		change(&v)
		return v
	}
	for _, tt := range []struct {
		now  cluster.View
		want string
	}{
		{before, ""},
		{now(open(cluster.Request{To: "b"})), ""}, // it may be refused
		{now(open(cluster.Request{To: "b", Accepted: true})), "a hands over to b"},
		{now(func(v *cluster.View) { v.Session = "" }), "the lock is free"},
		{now(func(v *cluster.View) { v.Session, v.Holder = "t", "b" }), "the lock is held by b"},
		{now(func(v *cluster.View) {
			v.Session, v.Holder = "t", "b"
			v.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "b", Term: 5}}
		}), "b is published as the master"},
	} {
		expect.Equal(t, "stage", stage(before, tt.now), tt.want)
	}
}
