package redis

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// An error of this host's own says nothing about a server. Sources: https://man7.org/linux/man-pages/man2/socket.2.html and
// https://man7.org/linux/man-pages/man2/connect.2.html
var (
	// exhaustion: this host can open no connection, to whatever server.
	exhaustion = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	// noRoute: this host has no route to the server, no address or port left for it, or its own rules forbid the connection.
	// EADDRNOTAVAIL is one of them, because it concerns one server only. On Linux the local ports are used up for each destination
	// apart, and an IPv6 address may lack a source address while IPv4 works. EINVAL is what Linux says of a blackhole route.
	noRoute = []syscall.Errno{syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
		syscall.EACCES, syscall.EPERM, syscall.EINVAL}
)

// Exhausted reports whether this host has no descriptor or memory left for a connection: no server can be asked.
func Exhausted(err error) bool { return errnoOf(err, exhaustion) != 0 }

// errResolver is returned for a server whose address this host could not find out, because its resolver failed.
var errResolver = errors.New("the resolver failed")

// LocalFault reports whether err was made by this host alone: it is exhausted, it has no route to the server, or its resolver
// failed. Nothing was asked then.
func LocalFault(err error) bool {
	return Exhausted(err) || errnoOf(err, noRoute) != 0 || errors.Is(err, errResolver)
}

// OutOfReach reports whether a server may be alive although it did not reply: it is unreachable, or only this host cannot reach
// it.
func OutOfReach(err error) bool { return Unreachable(err) || LocalFault(err) && !Exhausted(err) }

// errnoOf returns which of the numbers the error is; 0: none.
func errnoOf(err error, numbers []syscall.Errno) syscall.Errno {
	i := slices.IndexFunc(numbers, func(n syscall.Errno) bool { return errors.Is(err, n) })
	if err == nil || i < 0 {
		return 0
	}
	return numbers[i]
}

// localFaultText says what this host lacks.
func localFaultText(err error) string {
	errno := errnoOf(err, append(slices.Clone(exhaustion), noRoute...))
	if errno == 0 {
		return "this host cannot resolve its name: its resolver fails"
	}
	return "this host cannot connect to it: " + errno.Error()
}

// namingLimit returns a dial's error with the limit of this process, if that is what it met.
func namingLimit(err error) error {
	var limit unix.Rlimit
	if !errors.Is(err, syscall.EMFILE) || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return err
	}
	return fmt.Errorf("%w (RLIMIT_NOFILE of this process is %d)", err, limit.Cur)
}
