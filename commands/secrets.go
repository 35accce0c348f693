package commands

import (
	"os"
	"slices"
	"strings"
	"unsafe"

	"resec/handlers"
)

// secretFlags have values that nobody is to read in a list of processes.
var secretFlags = []string{"redis-password", "redis-replication-password", "token"}

// Hide returns a copy of a command line, and overwrites what the system shows of it that is secret, for as much time as it can:
// whoever looks before has seen it, so an environment or a file is better.
func Hide(args []string) []string {
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.Clone(a)
	}
	for i, a := range own {
		name, value, inOne := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case !strings.HasPrefix(a, "-") || !slices.Contains(secretFlags, name):
		case inOne:
			wipe(args[i][len(a)-len(value):])
		case i+1 < len(args):
			wipe(args[i+1])
		}
	}
	return own
}

// withheld warns of what a handler might miss: it may be resec itself.
func (c *config) withheld() {
	for _, name := range handlers.Withheld {
		if os.Getenv(name) != "" {
			c.log.Warn("no handler is told this secret; one that needs it takes the variable of its file", "variable", name)
		}
	}
}

// wipe overwrites a string where it stands: os.Args is the memory that the system reads.
func wipe(s string) {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for i := range b {
		b[i] = '*'
	}
}
