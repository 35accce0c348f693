package agent

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/member"
	"resec/commands/observable"
)

func TestNotifySystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	receives := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
		}
	}
	a := &Agent{NotifySocket: socket, Log: slog.New(slog.DiscardHandler), known: observable.New[member.Snapshot](), advertised: observable.New[catalog.Entry]()}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { a.notifySystemd(ctx, over) })
	a.setAdvertised(catalog.Entry{Output: "not started yet: redis is\nunhealthy"})
	receives("STATUS=not started yet: redis is unhealthy")
	a.known.Update(func(k *member.Snapshot) { k.Registered = true }) // Redis has not answered
	a.known.Update(func(k *member.Snapshot) { k.Probed, k.Health.Err = true, cluster.ErrOtherInstance })
	a.known.Update(func(k *member.Snapshot) { k.Health.Err = nil })
	receives("READY=1")
	a.setAdvertised(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "4"}})
	receives("STATUS=replica of a")
	a.setAdvertised(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "5"}}) // the status has not changed
	stop()
	receives("STOPPING=1")
	a.setAdvertised(catalog.Entry{Output: "replica of b"})
	receives("STATUS=replica of b")
	close(over)
	done.Wait()
}
