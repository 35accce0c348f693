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
		lost            bool // the lines are not delivered
		want            []string
	}{
		{false, false, "", false, nil},
		{false, false, "waiting\nfor redis", false, []string{"STATUS=waiting for redis"}},
		{true, false, "waiting\nfor redis", true, []string{"READY=1"}},
		{true, false, "waiting\nfor redis", true, []string{"READY=1"}},
		{true, false, "master", false, []string{"READY=1", "STATUS=master"}},
		{false, false, "master", false, nil}, // it was ready once
		{true, true, "master", true, []string{"STOPPING=1"}},
		{true, true, "master", false, []string{"STOPPING=1"}},
		{true, true, "", false, []string{"STATUS="}},
		{true, false, "", false, nil},
	} {
		lines, delivered := s.Next(tt.ready, tt.stopping, tt.output)
		if !slices.Equal(lines, tt.want) {
			t.Errorf("step %d: %q, want %q", i, lines, tt.want)
		}
		if !tt.lost {
			s = delivered
		}
		if s.Stopping() != (i >= 7) {
			t.Errorf("step %d: stopping is %t", i, s.Stopping())
		}
	}
	all, _ := Status{}.Next(true, true, "left")
	if want := []string{"READY=1", "STOPPING=1", "STATUS=left"}; !slices.Equal(all, want) {
		t.Errorf("%q, want %q", all, want)
	}
}

// The watchdog is fed once the service is ready, as long as the goroutine that decides is not hung, and during a stop.
func TestStatus_Feeds(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		s    Status
		ago  time.Duration
		want bool
	}{
		{Status{}, 0, false}, {Status{ready: true}, 0, true}, {Status{ready: true}, maxStep - 1, true},
		{Status{ready: true}, maxStep, false}, {Status{ready: true, stopping: true}, time.Hour, true},
	} {
		if got := tt.s.Feeds(now.Add(-tt.ago), now); got != tt.want {
			t.Errorf("%+v, %s ago: %t", tt.s, tt.ago, got)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"3000000", "", 3 * time.Second}, {"3000000", "7", 3 * time.Second}, {"3000000", "8", 0}, {"0", "7", 0},
		{"-1", "7", 0}, {"x", "7", 0},
	} {
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		if got := WatchdogInterval(7); got != tt.want {
			t.Errorf("%q of %q: %s, want %s", tt.usec, tt.pid, got, tt.want)
		}
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
