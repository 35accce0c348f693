package lab

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// Cut is how a link fails.
type Cut string

// The ways of a link to fail.
const (
	Drop   Cut = "drop"                                               // packets are dropped: an open connection hangs
	Reset  Cut = "reject with tcp reset; reject"                      // an open connection is reset with the next packet, a new one is refused
	Refuse Cut = "tcp flags & (syn|ack) == syn reject with tcp reset" // a new connection is refused, an open one continues
)

// link is what one host sends to another, by their addresses.
type link struct{ from, to string }

// Cut makes the link between two hosts fail, in both directions.
func (n *Network) Cut(a, b *NetHost, how Cut) error {
	return n.change(func() { n.cuts[link{a.Addr, b.Addr}], n.cuts[link{b.Addr, a.Addr}] = how, how })
}

// CutOneWay makes what one host sends to the other fail.
func (n *Network) CutOneWay(from, to *NetHost, how Cut) error {
	return n.change(func() { n.cuts[link{from.Addr, to.Addr}] = how })
}

// Isolate cuts a host off from every other one but those given, whose links stay as they are.
func (n *Network) Isolate(h *NetHost, how Cut, but ...*NetHost) error {
	return n.change(func() {
		for _, other := range n.hosts {
			if other != h && !slices.Contains(but, other) {
				n.cuts[link{h.Addr, other.Addr}], n.cuts[link{other.Addr, h.Addr}] = how, how
			}
		}
	})
}

// Heal makes the link between two hosts whole.
func (n *Network) Heal(a, b *NetHost) error {
	return n.change(func() {
		maps.DeleteFunc(n.cuts, func(l link, _ Cut) bool { return l == link{a.Addr, b.Addr} || l == link{b.Addr, a.Addr} })
	})
}

// HealAll makes every link of the hosts whole; without hosts every link there is. The nil Network, of a plan without one, has none.
func (n *Network) HealAll(of ...*NetHost) error {
	if n == nil {
		return nil
	}
	return n.change(func() {
		maps.DeleteFunc(n.cuts, func(l link, _ Cut) bool {
			return len(of) == 0 || slices.ContainsFunc(of, func(h *NetHost) bool { return h.Addr == l.from || h.Addr == l.to })
		})
	})
}

// change replaces all rules at once.
func (n *Network) change(f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	var rules strings.Builder
	rules.WriteString("add table ip cuts\nflush table ip cuts\nadd chain ip cuts f { type filter hook forward priority 0; }\n")
	for l, how := range n.cuts {
		for rule := range strings.SplitSeq(string(how), "; ") {
			fmt.Fprintf(&rules, "add rule ip cuts f ip saddr %s ip daddr %s %s\n", l.from, l.to, rule)
		}
	}
	cmd := exec.Command("ip", "netns", "exec", n.router, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("change the network's rules: %w: %s", err, out)
	}
	return nil
}
