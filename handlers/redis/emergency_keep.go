package redis

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

const (
	// keepInterval is how often the connection of an emergency fence is checked, at least.
	keepInterval = time.Second
	// idleTimeoutInterval is how often the server's own `timeout` is read: an operator may change it.
	idleTimeoutInterval = 5 * time.Second
)

// Keep keeps the connection open until the context ends. A server ends an idle connection after its setting `timeout`, so Keep
// uses the connection in each half of that, and opens another one if it has ended. It reads the setting over server, which must
// be the same server. It calls report with the error of each round, or nil. It needs a goroutine of its own, and starts none.
func (f *EmergencyFence) Keep(ctx context.Context, server *Server, report func(error)) {
	var idle time.Duration
	for read := (time.Time{}); ; {
		if now := time.Now(); now.Sub(read) >= idleTimeoutInterval {
			read = now
			if d, err := server.idleTimeout(ctx); err == nil { // otherwise the last one counts
				idle = d
			}
		}
		err := f.Connect(ctx)
		if err == nil {
			err = f.use(idle)
		}
		if ctx.Err() != nil {
			return
		}
		report(err)
		if !sleep(ctx, keepPause(idle)) {
			return
		}
	}
}

// keepPause is the time between two rounds, for a server that ends connections which are idle for so long; 0: it ends none.
func keepPause(idle time.Duration) time.Duration {
	if idle == 0 {
		return keepInterval
	}
	return min(keepInterval, idle/2)
}

// use sends a ping if the connection would otherwise be idle for more than half of the server's limit. It does not wait for the
// reply, which the next check of the connection skips: a server that is frozen by now has the connection open all the same.
func (f *EmergencyFence) use(idle time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if idle == 0 || f.conn == nil || time.Since(f.used)+keepPause(idle) < idle/2 {
		return nil
	}
	_ = f.conn.SetWriteDeadline(time.Now().Add(keepPause(idle)))
	if _, err := io.WriteString(f.conn, encodeCommand([]string{"PING"})); err != nil {
		f.drop()
		return fmt.Errorf("keep the connection to redis %s: %w", f.opt.Addr, err)
	}
	f.used = time.Now()
	return nil
}

// idleTimeout reads after which time the server ends an idle connection; 0: it does not.
func (s *Server) idleTimeout(ctx context.Context) (time.Duration, error) {
	results, err := s.do(ctx, []string{"CONFIG", "GET", "timeout"})
	if err != nil {
		return 0, err
	}
	config, err := results[0].AsStrMap()
	if err != nil {
		return 0, fmt.Errorf("read CONFIG of redis %s: %w", s.opt.Addr, err)
	}
	seconds, err := strconv.Atoi(config["timeout"])
	if err != nil {
		return 0, fmt.Errorf("read the timeout of redis %s: %w", s.opt.Addr, err)
	}
	return time.Duration(seconds) * time.Second, nil
}
