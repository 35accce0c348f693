package catalog

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a registrar and the Consul agent that it writes to, in a bubble of fake time that begins at 0s.
type bench struct {
	*fakeConsul
	*Registrar
	t    *testing.T
	logs bytes.Buffer
}

// inBubble runs a test of a registrar whose check has an interval of 10 s.
func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, client := newFakeConsul(t)
		b := &bench{fakeConsul: f, t: t}
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		b.Registrar = &Registrar{Client: client, Naming: Naming{Prefix: "redis"}, ID: "r-1", Host: "10.0.0.1", Port: 6379,
			Interval: 10 * time.Second, DeregisterAfter: time.Minute,
			Log: slog.New(slog.NewTextHandler(&b.logs, &slog.HandlerOptions{ReplaceAttr: withoutTime}))}
		test(b)
	})
}

// begin sets the entry that Run finds when it begins.
func (b *bench) begin(e Entry) {
	b.Set(e)
	<-b.wanted.changed()
}

// runFor runs the registrar until so long after the bubble's beginning.
func (b *bench) runFor(d time.Duration) error {
	ctx, cancel := context.WithDeadline(b.t.Context(), b.began.Add(d))
	defer cancel()
	return b.Run(ctx)
}

// at calls f so long after the bubble's beginning.
func (b *bench) at(d time.Duration, f func()) {
	time.AfterFunc(d-time.Since(b.began), f)
}

// sees fails the test unless the agent got just these calls.
func (b *bench) sees(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(want, b.calls); d != "" {
		b.t.Errorf("calls (-want +got):\n%s", d)
	}
}

func (b *bench) logged(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(strings.Join(append(want, ""), "\n"), b.logs.String()); d != "" {
		b.t.Errorf("log (-want +got):\n%s", d)
	}
}

func (b *bench) succeeds(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

// between returns a fate for all calls of a time: from, to after the bubble's beginning.
func (b *bench) between(from, to time.Duration, what fate) func(int, string) fate {
	return func(int, string) fate {
		if d := time.Since(b.began); d >= from && d < to {
			return what
		}
		return fate{}
	}
}
