package sentinel

import (
	"fmt"
	"maps"
	"slices"
)

const (
	maxSubscriptions = 64 // of one client; Sentinel has some 50 channels
	maxChannel       = 64 // bytes of a channel or a pattern
)

// subscriptions are the channels and the patterns of one client.
type subscriptions struct{ channels, patterns map[string]bool }

func newSubscriptions() subscriptions {
	return subscriptions{map[string]bool{}, map[string]bool{}}
}

func (s subscriptions) count() int { return len(s.channels) + len(s.patterns) }

// tooMany is the answer to a subscription above a limit.
var tooMany = failure(fmt.Sprintf("ERR takes at most %d channels and patterns of at most %d bytes", maxSubscriptions, maxChannel))

// subscribe adds channels, and returns an answer for each.
func (s subscriptions) subscribe(channels []string) answers {
	return s.add("subscribe", s.channels, channels)
}

// psubscribe is subscribe for patterns.
func (s subscriptions) psubscribe(patterns []string) answers {
	return s.add("psubscribe", s.patterns, patterns)
}

func (s subscriptions) add(kind string, all map[string]bool, names []string) (out answers) {
	for _, name := range names {
		if s.count() >= maxSubscriptions || len(name) > maxChannel {
			return append(out, tooMany)
		}
		all[name] = true
		out = append(out, s.confirmation(kind, text(name)))
	}
	return out
}

// unsubscribe removes channels, all of them if none is named, and returns an answer for each.
func (s subscriptions) unsubscribe(channels []string) answers {
	return s.remove("unsubscribe", s.channels, channels)
}

// punsubscribe is unsubscribe for patterns.
func (s subscriptions) punsubscribe(patterns []string) answers {
	return s.remove("punsubscribe", s.patterns, patterns)
}

func (s subscriptions) remove(kind string, all map[string]bool, names []string) (out answers) {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(all))
	}
	for _, name := range names {
		delete(all, name)
		out = append(out, s.confirmation(kind, text(name)))
	}
	if out == nil {
		out = answers{s.confirmation(kind, null{})}
	}
	return out
}

func (s subscriptions) confirmation(kind string, name reply) reply {
	return push{text(kind), name, number(s.count())}
}

// messages are an event as the client gets it: once for its channel, and once for each pattern.
func (s subscriptions) messages(e event) (out []push) {
	if s.channels[e.channel] {
		out = append(out, push{text("message"), text(e.channel), text(e.message)})
	}
	for _, pattern := range slices.Sorted(maps.Keys(s.patterns)) {
		if match(pattern, e.channel) {
			out = append(out, push{text("pmessage"), text(pattern), text(e.channel), text(e.message)})
		}
	}
	return out
}
