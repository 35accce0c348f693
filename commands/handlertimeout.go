package commands

import (
	"time"

	"resec/handlers"
)

// handlerTimeout is the limit of one invocation of a handler, under `elect` and `follow`.
type handlerTimeout struct {
	given bool
	value time.Duration // 0: off
}

// setting is the flag of it. more is a half sentence about its subcommand.
func (h *handlerTimeout) setting(more string) setting {
	return setting{name: "handler-timeout", takes: duration + ", or off", set: orNone(h.set),
		usage: "time after which a handler that still runs is ended, or off; 60s by default; " + more}
}

func (h *handlerTimeout) set(v string) error {
	h.given, h.value = true, 0
	if v == "off" {
		return nil
	}
	return positive(&h.value)(v)
}

// limit returns the limit; 0: none.
func (h *handlerTimeout) limit(child bool) time.Duration {
	switch {
	case h.given:
		return h.value
	case child:
		return 0
	}
	return handlers.Timeout
}
