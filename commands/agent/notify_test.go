package agent

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/elect"
)

func TestKeepNotified(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hears := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
		}
	}
	a := &Agent{Notify: socket, Log: slog.New(slog.DiscardHandler), board: board.New[known](), shown: board.New[catalog.Entry]()}
	ctx, leave := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { a.keepNotified(ctx, over) })
	a.show(catalog.Entry{Output: "not started yet: redis is\nunhealthy"})
	hears("STATUS=not started yet: redis is unhealthy")
	a.board.Learn(func(k *known) { k.registered = true }) // its Redis has not answered
	a.board.Learn(func(k *known) { k.seen, k.health.Err = true, elect.ErrStranger })
	a.board.Learn(func(k *known) { k.health.Err = nil })
	hears("READY=1")
	a.show(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "4"}})
	hears("STATUS=replica of a")
	a.show(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "5"}}) // no news
	leave()
	hears("STOPPING=1")
	a.show(catalog.Entry{Output: "replica of b"})
	hears("STATUS=replica of b")
	close(over)
	done.Wait()
}
