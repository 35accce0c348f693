package systemd

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
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/observable"
)

func TestNotifier(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	expect.OK(t, err)
	defer conn.Close()
	receives := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
		}
	}
	seen, advertised := observable.New[known.Snapshot](), observable.New[catalog.Entry]()
	n := Notifier{Socket: socket, Known: seen, Advertised: advertised, Log: slog.New(slog.DiscardHandler)}
	advertise := func(e catalog.Entry) { advertised.Update(func(shown *catalog.Entry) { *shown = e }) }
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { n.Run(ctx, over) })
	advertise(catalog.Entry{Output: "not started yet: redis is\nunhealthy"})
	receives("STATUS=not started yet: redis is unhealthy")
	seen.Update(func(k *known.Snapshot) { k.Registered = true }) // Redis has not answered
	seen.Update(func(k *known.Snapshot) { k.Probed, k.Health.Err = true, cluster.ErrOtherInstance })
	seen.Update(func(k *known.Snapshot) { k.Health.Err = nil })
	receives("READY=1")
	advertise(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "4"}})
	receives("STATUS=replica of a")
	advertise(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "5"}}) // the status has not changed
	stop()
	receives("STOPPING=1")
	advertise(catalog.Entry{Output: "replica of b"})
	receives("STATUS=replica of b")
	close(over)
	done.Wait()
}
