// Package systemd reports to the service manager what an agent is doing. It reads what the agent knows, and writes none of it.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
package systemd

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// notifyTimeout bounds one message: a service manager that hangs does not block the caller.
const notifyTimeout = 500 * time.Millisecond

// Status is what systemd knows of this service.
type Status struct {
	status          string
	ready, stopping bool
}

// Next returns the lines that systemd is to learn now, and takes them as sent.
func (n *Status) Next(ready, stopping bool, output string) (lines []string) {
	if !n.ready && ready {
		n.ready = true
		lines = append(lines, "READY=1")
	}
	if stopping && !n.stopping {
		n.stopping = true
		lines = append(lines, "STOPPING=1")
	}
	if status := strings.ReplaceAll(output, "\n", " "); status != n.status {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	return lines
}

// Stopping reports whether systemd knows that the service stops.
func (n *Status) Stopping() bool { return n.stopping }

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
