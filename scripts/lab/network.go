package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Network is a few hosts in network namespaces of their own, with a router between them that can cut any link. It
// takes root. Its addresses exist inside these namespaces alone.
type Network struct {
	lab    *Lab
	id     string // of its namespaces, unique on this machine
	router string

	mu    sync.Mutex
	cuts  map[link]Cut
	hosts []*NetHost
}

// NetHost is one host; nil is this machine itself.
type NetHost struct {
	Name    string
	Addr    string // IPv4
	ns      string
	gateway string
}

var networks atomic.Int64

// NewNetwork makes a router without hosts.
func (l *Lab) NewNetwork() (*Network, error) {
	if _, err := Need("nft"); err != nil {
		return nil, err
	}
	sweep()
	id := fmt.Sprintf("rs%d-%d", os.Getpid(), networks.Add(1))
	n := &Network{lab: l, id: id, router: id + "r", cuts: map[link]Cut{}}
	l.onClose(func() { _ = run("ip", "netns", "del", n.router) })
	return n, errors.Join(
		run("ip", "netns", "add", n.router),
		run("ip", "-n", n.router, "link", "set", "lo", "up"),
		run("ip", "netns", "exec", n.router, "sysctl", "-qw", "net.ipv4.ip_forward=1"),
	)
}

// sweep removes what processes like this one left that were killed.
func sweep() {
	left, _ := filepath.Glob("/var/run/netns/rs*-*")
	for _, path := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "rs"), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			_ = run("ip", "netns", "del", filepath.Base(path))
		}
	}
}

// Host adds a host.
func (n *Network) Host(name string) (*NetHost, error) {
	n.mu.Lock()
	i := len(n.hosts) + 1
	h := &NetHost{Name: name, Addr: fmt.Sprintf("10.77.%d.2", i), ns: fmt.Sprintf("%sh%d", n.id, i),
		gateway: fmt.Sprintf("10.77.%d.1", i)}
	n.hosts = append(n.hosts, h)
	n.mu.Unlock()
	there := fmt.Sprintf("r%d", i)
	n.lab.onClose(func() { _ = run("ip", "netns", "del", h.ns) })
	for _, cmd := range []string{
		"netns add " + h.ns,
		"-n " + h.ns + " link add eth0 type veth peer name " + there + " netns " + n.router,
		"-n " + h.ns + " addr add " + h.Addr + "/24 dev eth0",
		"-n " + n.router + " addr add " + h.gateway + "/24 dev " + there,
		"-n " + h.ns + " link set lo up",
		"-n " + h.ns + " link set eth0 up",
		"-n " + n.router + " link set " + there + " up",
	} {
		if err := run("ip", strings.Fields(cmd)...); err != nil {
			return nil, err
		}
	}
	return h, h.Route()
}

// Route gives the host its route to the others.
func (h *NetHost) Route() error {
	return run("ip", "-n", h.ns, "route", "add", "default", "via", h.gateway)
}

// Unroute takes the route away: to connect to another host is an error of this host's own.
func (h *NetHost) Unroute() error { return run("ip", "-n", h.ns, "route", "del", "default") }

// Dial is how to connect from somewhere; nil is from this machine.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// In is a command line run on the host.
func (h *NetHost) In(args ...string) []string {
	if h == nil {
		return args
	}
	return append([]string{"ip", "netns", "exec", h.ns}, args...)
}

// Dial connects from the host. The socket stays in the host's namespace; this process does not.
func (h *NetHost) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if h == nil {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	got := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its namespace with it
		fd, err := os.Open("/var/run/netns/" + h.ns)
		if err != nil {
			got <- result{nil, err}
			return
		}
		defer fd.Close()
		if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET); err != nil {
			got <- result{nil, fmt.Errorf("enter %s: %w", h.ns, err)}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		got <- result{conn, err}
	}()
	r := <-got
	return r.conn, r.err
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
