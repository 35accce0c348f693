package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// traced is a line of a keeper's log.
type traced struct {
	at          time.Time
	name, event string
}

var logLine = regexp.MustCompile(`(?m)^time=(\S+) level=\w+ msg=("(?:[^"\\]|\\.)*"|\S+)(?: event=(\S+))?(.*)$`)

// trace prints what the agents logged from shortly before a fault until some time after the client wrote again, in ms after the
// fault. The logs have whole milliseconds.
func (s *subject) trace(out io.Writer, fault time.Time, outage time.Duration) {
	var all []traced
	for i, p := range s.Agents {
		for _, m := range logLine.FindAllStringSubmatch(p.Output(), -1) {
			at, err := time.Parse(time.RFC3339Nano, m[1])
			if err == nil && at.After(fault.Add(-2*time.Millisecond)) && at.Before(fault.Add(outage+100*time.Millisecond)) {
				all = append(all, traced{at, fmt.Sprintf("%s %s", p.Name, s.Redis[i].Addr), cmp.Or(m[3], m[2]) + shortened(m[4])})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b traced) int { return a.at.Compare(b.at) })
	for _, t := range all {
		fmt.Fprintf(out, "  %7.1f ms  %-30s %s\n", ms(t.at.Sub(fault)), t.name, t.event)
	}
}

// shortened is the rest of a log line, as far as it fits.
func shortened(rest string) string {
	const most = 110
	if len(rest) > most {
		rest = strings.ToValidUTF8(rest[:most], "") + "…"
	}
	return rest
}
