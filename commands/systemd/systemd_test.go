package systemd

import (
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"resec/commands/expect"
)

func TestStatus_Next(t *testing.T) {
	var s Status
	for i, tt := range []struct {
		ready, stopping bool
		output          string
		want            []string
	}{
		{false, false, "", nil},
		{false, false, "waiting\nfor redis", []string{"STATUS=waiting for redis"}},
		{true, false, "waiting\nfor redis", []string{"READY=1"}},
		{true, false, "master", []string{"STATUS=master"}},
		{false, false, "master", nil}, // it was ready once
		{true, true, "master", []string{"STOPPING=1"}},
		{true, true, "", []string{"STATUS="}},
		{true, false, "", nil},
	} {
		if got := s.Next(tt.ready, tt.stopping, tt.output); !slices.Equal(got, tt.want) {
			t.Errorf("step %d: %q, want %q", i, got, tt.want)
		}
		if s.Stopping() != (i >= 5) {
			t.Errorf("step %d: stopping is %t", i, s.Stopping())
		}
	}
	all := new(Status).Next(true, true, "left")
	if want := []string{"READY=1", "STOPPING=1", "STATUS=left"}; !slices.Equal(all, want) {
		t.Errorf("%q, want %q", all, want)
	}
}

func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := Notify(socket, nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
	if err := Notify(socket, []string{"READY=1"}); err == nil {
		t.Error("nothing listens, and there is no error")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	expect.OK(t, err)
	defer conn.Close()
	expect.OK(t, Notify(socket, []string{"READY=1", "STATUS=master"}))
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "READY=1\nSTATUS=master" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	began, filled := time.Now(), false
	for range 10_000 { // until the socket's queue is full
		if err := Notify(socket, []string{"STATUS=again"}); err != nil {
			filled = true
			break
		}
	}
	if took := time.Since(began); !filled || took < notifyTimeout {
		t.Errorf("a socket that is not read: error %t, after %s", filled, took)
	}
}
