// Package systemd reports to the service manager what an agent is doing. It reads what the agent knows, and writes none of it.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifyTimeout bounds one message: a service manager that hangs does not block the caller.
const notifyTimeout = 500 * time.Millisecond

// Status is what was delivered to systemd of this service.
type Status struct {
	status          string
	ready, stopping bool
}

// Next returns the lines that systemd is to learn now, and what it knows once they are delivered.
func (s Status) Next(ready, stopping bool, output string) (lines []string, delivered Status) {
	if !s.ready && ready {
		s.ready = true
		lines = append(lines, "READY=1")
	}
	if stopping && !s.stopping {
		s.stopping = true
		lines = append(lines, "STOPPING=1")
	}
	if status := strings.ReplaceAll(output, "\n", " "); status != s.status {
		s.status = status
		lines = append(lines, "STATUS="+status)
	}
	return lines, s
}

// Stopping reports whether systemd knows that the service stops.
func (s Status) Stopping() bool { return s.stopping }

// maxStep is how long the goroutine that decides may take for one step without being called hung. Each call of a step has a
// deadline of its own, and all of a step have ended by then.
const maxStep = 30 * time.Second

// Feeds reports whether the watchdog is to be fed. It is while the goroutine that decides, which last began a step at that time,
// is not hung. An agent that stops has a budget of its own, and systemd another one for it.
func (s Status) Feeds(decided, now time.Time) bool {
	return s.ready && (s.stopping || now.Sub(decided) < maxStep)
}

// WatchdogInterval returns after which time systemd ends this process unless its watchdog is fed; 0: it has none.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_watchdog_enabled.html
func WatchdogInterval(pid int) time.Duration {
	if of := os.Getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return 0
	}
	n, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Notify sends lines as one message. It returns an error if the socket does not take them in time.
func Notify(socket string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("open NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET: %w", err)
	}
	return nil
}
