package agent

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// notifyTimeout bounds one message: a service manager that hangs does not keep us.
const notifyTimeout = 500 * time.Millisecond

// keepNotified tells systemd that we are ready, what the catalogue shows of us, and that we leave.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
func (a *Agent) keepNotified(ctx context.Context, over <-chan struct{}) {
	if a.NotifySocket == "" {
		return
	}
	said, ready, leave := "", false, ctx.Done()
	for ended := false; ; {
		k, changed := a.known.Watch()
		e, shown := a.advertised.Watch()
		var lines []string
		if !ready && k.Registered && k.Probed && k.Health.Err == nil {
			ready = true
			lines = append(lines, "READY=1")
		}
		if (ended || ctx.Err() != nil) && leave != nil {
			leave = nil
			lines = append(lines, "STOPPING=1")
		}
		if status := strings.ReplaceAll(e.Output, "\n", " "); status != said {
			said = status
			lines = append(lines, "STATUS="+status)
		}
		if err := notify(a.NotifySocket, lines); err != nil {
			a.Log.Warn("systemd could not be notified", "err", err)
		}
		if ended {
			return
		}
		select {
		case <-leave:
		case <-changed:
		case <-shown:
		case <-over:
			ended = true
		}
	}
}

// notify sends lines as one message.
func notify(socket string, lines []string) error {
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
