package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
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

	mu   sync.Mutex
	cuts map[[2]string]Cut
	n    int
}

// Cut is how a link fails.
type Cut string

// The ways of a link to fail.
const (
	Drop   Cut = "drop"                  // packets vanish
	Reset  Cut = "reject with tcp reset" // what is open is reset with the next packet, what is new is refused
	Refuse Cut = "tcp flags & (syn|ack) == syn reject with tcp reset"
)

// NetHost is one host.
type NetHost struct {
	Name string
	Addr string // IPv4
	ns   string
	net  *Network
}

var networks atomic.Int64

// NewNetwork makes a router without hosts.
func (l *Lab) NewNetwork() (*Network, error) {
	if _, err := Need("nft"); err != nil {
		return nil, err
	}
	id := fmt.Sprintf("rs%d-%d", os.Getpid(), networks.Add(1))
	n := &Network{lab: l, id: id, router: id + "r", cuts: map[[2]string]Cut{}}
	l.onClose(func() { _ = run("ip", "netns", "del", n.router) })
	return n, errors.Join(
		run("ip", "netns", "add", n.router),
		run("ip", "-n", n.router, "link", "set", "lo", "up"),
		run("ip", "netns", "exec", n.router, "sysctl", "-qw", "net.ipv4.ip_forward=1"),
	)
}

// Host adds a host.
func (n *Network) Host(name string) (*NetHost, error) {
	n.mu.Lock()
	n.n++
	i := n.n
	n.mu.Unlock()
	h := &NetHost{Name: name, Addr: fmt.Sprintf("10.77.%d.2", i), ns: fmt.Sprintf("%sh%d", n.id, i), net: n}
	gw, there := fmt.Sprintf("10.77.%d.1", i), fmt.Sprintf("r%d", i)
	n.lab.onClose(func() { _ = run("ip", "netns", "del", h.ns) })
	for _, cmd := range []string{
		"netns add " + h.ns,
		"-n " + h.ns + " link add eth0 type veth peer name " + there + " netns " + n.router,
		"-n " + h.ns + " addr add " + h.Addr + "/24 dev eth0",
		"-n " + n.router + " addr add " + gw + "/24 dev " + there,
		"-n " + h.ns + " link set lo up",
		"-n " + h.ns + " link set eth0 up",
		"-n " + n.router + " link set " + there + " up",
		"-n " + h.ns + " route add default via " + gw,
	} {
		if err := run("ip", strings.Fields(cmd)...); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Cut makes the link between two hosts fail, in both directions.
func (n *Network) Cut(a, b *NetHost, how Cut) error {
	return n.change(func() { n.cuts[pair(a, b)] = how })
}

// Heal makes the link between two hosts whole.
func (n *Network) Heal(a, b *NetHost) error {
	return n.change(func() { delete(n.cuts, pair(a, b)) })
}

func pair(a, b *NetHost) [2]string {
	if a.Addr > b.Addr {
		a, b = b, a
	}
	return [2]string{a.Addr, b.Addr}
}

// change replaces all rules at once.
func (n *Network) change(f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	var rules strings.Builder
	rules.WriteString("add table ip cuts\nflush table ip cuts\nadd chain ip cuts f { type filter hook forward priority 0; }\n")
	for p, how := range n.cuts {
		fmt.Fprintf(&rules, "add rule ip cuts f ip saddr %s ip daddr %s %s\nadd rule ip cuts f ip saddr %s ip daddr %s %s\n", p[0], p[1], how, p[1], p[0], how)
	}
	cmd := exec.Command("ip", "netns", "exec", n.router, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("change the network's rules: %w: %s", err, out)
	}
	return nil
}

// In is a command line run on the host.
func (h *NetHost) In(args ...string) []string {
	return append([]string{"ip", "netns", "exec", h.ns}, args...)
}

// Dial connects from the host. The socket stays in the host's namespace; this process does not.
func (h *NetHost) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
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
