package handlers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
)

// startRedis starts a Redis server that keeps nothing on disk, and opens it.
func startRedis(t *testing.T, args ...string) *redis.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	cmd := exec.Command("redis-server", append([]string{"--port", strconv.Itoa(addr.Port), "--bind", "127.0.0.1", "--save", "",
		"--dir", t.TempDir(), "--repl-diskless-sync-delay", "0"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := redis.Open(t.Context(), redis.Options{Addr: addr.String(), Name: "resec:test", Timeout: deadline})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "redis is up", func() bool { _, err := s.Status(t.Context()); return err == nil })
	return s
}

// client sends a command on a connection of its own, and returns the connection and the first line of the reply.
func client(t *testing.T, s *redis.Server, command string) (net.Conn, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr(), deadline)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return conn, strings.TrimSpace(line)
}

func status(t *testing.T, s *redis.Server) redis.Status {
	t.Helper()
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestPromoteAndFence(t *testing.T) {
	s := startRedis(t, "--replicaof", "127.0.0.1 1")
	st := status(t, s)
	master := Result{Redis: s.Addr(), RunID: st.RunID, Role: "master"}
	with := func(r Result, handler string, changed bool) Result {
		r.Handler, r.Changed = handler, changed
		return r
	}
	for _, tt := range []struct {
		name   string
		call   func() (Result, error)
		want   Result
		fenced bool
	}{
		{"promote a replica", func() (Result, error) { return Promote(t.Context(), s) }, with(master, "promote", true), false},
		{"promote a master", func() (Result, error) { return Promote(t.Context(), s) }, with(master, "promote", false), false},
		{"fence", func() (Result, error) { return Fence(t.Context(), s) }, with(master, "fence", true), true},
		{"fence again", func() (Result, error) { return Fence(t.Context(), s) }, with(master, "fence", false), true},
		{"promote a fenced master",
			func() (Result, error) { return Promote(t.Context(), s) }, with(master, "promote", true), false},
	} {
		got, err := tt.call()
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", tt.name, err, d)
		}
		if _, reply := client(t, s, "SET k v"); strings.HasPrefix(reply, "-NOREPLICAS") != tt.fenced {
			t.Errorf("%s: a write gets %q", tt.name, reply)
		}
	}
	down, err := redis.Open(t.Context(), redis.Options{Addr: redis.Sink, Timeout: deadline})
	if err != nil {
		t.Fatal(err)
	}
	defer down.Close()
	if got, err := Promote(t.Context(), down); !redis.Refused(err) || got != (Result{}) {
		t.Errorf("promote a server that is down: got %+v, %v", got, err)
	}
	if got, err := Fence(t.Context(), down); !redis.Refused(err) || got != (Result{}) {
		t.Errorf("fence a server that is down: got %+v, %v", got, err)
	}
}

func TestReplicate(t *testing.T) {
	master, s := startRedis(t), startRedis(t)
	opt := redis.Options{Timeout: deadline}
	client(t, master, "SET k v")
	st := status(t, s)
	replica := Result{Handler: "replicate", Redis: s.Addr(), RunID: st.RunID, Role: "replica", Master: master.Addr()}
	errConfirm := errors.New("the lock is lost")
	for _, to := range []struct {
		name string
		Target
		err error
	}{
		{"another instance", Target{Addr: master.Addr(), RunID: "x"}, ErrRefused},
		{"our own server answers in its place", Target{Addr: s.Addr(), RunID: "x"}, ErrOwnAddress},
		{"not confirmed", Target{Addr: master.Addr(), Confirm: func(context.Context) error { return errConfirm }}, errConfirm},
	} {
		if got, err := Replicate(t.Context(), s, to.Target, opt); !errors.Is(err, to.err) || got != (Result{}) {
			t.Errorf("%s: got %+v, %v; want %v", to.name, got, err, to.err)
		}
	}
	if !status(t, s).Master {
		t.Fatal("a refused change has changed the server")
	}
	if err := s.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting, _ := client(t, s, "PING")
	confirmed := 0
	to := Target{Addr: master.Addr(), RunID: status(t, master).RunID}
	to.Confirm = func(context.Context) error { confirmed++; return nil }
	got, err := Replicate(t.Context(), s, to, opt)
	replica.Changed = true
	if d := cmp.Diff(replica, got); err != nil || d != "" || confirmed != 1 {
		t.Errorf("%v, confirmed %d times, %s", err, confirmed, d)
	}
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("a client of the former master is still connected")
	}
	if st := status(t, s); st.Fenced() || st.MasterAddr != master.Addr() {
		t.Errorf("got %+v, want a replica without a fence", st)
	}
	if err := s.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting, _ = client(t, s, "PING")
	replica.Changed = false
	if got, err = Replicate(t.Context(), s, to, opt); err != nil || got != replica {
		t.Errorf("got %+v, %v; want no change", got, err)
	}
	if status(t, s).Fenced() {
		t.Error("a replica is still fenced")
	}
	if _, err := fmt.Fprint(waiting, "PING\r\n"); err != nil {
		t.Errorf("a client of a replica was disconnected: %v", err)
	}
	if n, err := waiting.Read(make([]byte, 16)); n == 0 {
		t.Errorf("a client of a replica was disconnected: %v", err)
	}
	if _, err := Replicate(t.Context(), master, Target{Addr: s.Addr()}, opt); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want ErrRefused: the target is a replica", err)
	}
	self := Result{Handler: "replicate", Redis: master.Addr(), RunID: to.RunID, Role: "master", Reason: "it is the master itself"}
	if got, err := Replicate(t.Context(), master, Target{Addr: master.Addr()}, opt); err != nil || got != self {
		t.Errorf("got %+v, %v; want %+v", got, err, self)
	}
	_, err = Replicate(t.Context(), s, Target{Addr: "127.0.0.1:1"}, opt)
	if !redis.Refused(err) || !strings.Contains(err.Error(), "verify the master to follow") {
		t.Errorf("got %v, want a refused connection", err)
	}
}
