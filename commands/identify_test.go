package commands

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/lock"
)

// refused is the address of a port on which no server listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// A context that ends before Consul answers is an error, so that no caller goes on with an empty member.
func TestIdentify_ContextEnds(t *testing.T) {
	client, err := api.NewClient(&api.Config{Address: refused(t)})
	if err != nil {
		t.Fatal(err)
	}
	expired, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-expired.Done()
	cancelled, stop := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	stop(stopped)
	for _, tt := range []struct {
		name string
		ctx  context.Context
		want error
	}{
		{"a deadline", expired, context.DeadlineExceeded},
		{"a cause", cancelled, stopped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := (&config{}).identify(tt.ctx, client, slog.New(slog.DiscardHandler))
			if !errors.Is(err, errNotIdentified) || !errors.Is(err, tt.want) || m.ID != "" {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

// A signal before Consul answers ends each command that needs the member's name with exit code 0 and without an error.
func TestRun_StoppedBeforeConsulAnswers(t *testing.T) {
	addr := refused(t)
	for _, command := range []string{"agent", "elect", "follow"} {
		t.Run(command, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(200*time.Millisecond, cancel)
			var errs bytes.Buffer
			args := []string{"resec", command, "-log-level=ERROR", "-http-addr=" + addr}
			if code := Run(ctx, args, strings.NewReader(""), &errs, &errs); code != exitOK || errs.Len() > 0 {
				t.Errorf("exit %d: %s", code, &errs)
			}
		})
	}
}

func TestErrorKind(t *testing.T) {
	dial := func(port int) error {
		return &net.OpError{Op: "dial", Source: &net.TCPAddr{Port: port}, Err: errors.New("connection refused")}
	}
	if a, b := lock.ErrorKind(dial(1)), lock.ErrorKind(dial(2)); a != b || !strings.Contains(a, "connection refused") {
		t.Errorf("got %q and %q", a, b)
	}
	if got := lock.ErrorKind(errors.New("no such node")); got != "no such node" {
		t.Errorf("got %q", got)
	}
}
