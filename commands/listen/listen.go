// Package listen listens on the addresses at which resec itself answers.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// On listens on a variable's address, host:port. The listener's Accept tries again after an error until the listener is closed,
// and calls failed with the errors, at most once in five minutes, and with how many there were since. It returns an error if the
// address cannot be listened on.
func On(ctx context.Context, variable, addr string, failed func(addr net.Addr, failures int, err error)) (net.Listener, error) {
	var conf net.ListenConfig
	l, err := conf.Listen(ctx, "tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("listen on %s %s: %w", variable, addr, err)
	}
	return newAcceptor(l, failed), nil
}

// MaxConns is how many connections are served at once: up to a limit, and up to a part of the file descriptors that this process
// may have, because Redis and Consul need some, too. It returns an error if the limit of descriptors cannot be read.
func MaxConns(limit int, part float64) (int, error) {
	var descriptors unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &descriptors); err != nil {
		return 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	return maxConns(descriptors.Cur, limit, part), nil
}

func maxConns(descriptors uint64, limit int, part float64) int {
	return int(max(1, min(float64(limit), part*float64(descriptors))))
}
