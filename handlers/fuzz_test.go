package handlers

import (
	"net"
	"strconv"
	"testing"
)

// MasterOf accepts any service entries: the master that it returns has a valid port and the highest term.
func FuzzEntries(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"s","Port":6379,"Meta":{"term":"3","id":"a"}},
		"Checks":[{"Status":"passing"}]}]`), "")
	f.Add([]byte(`[{"Service":{"Address":"$(touch x)","Port":70000,"Tags":["m"],
		"Meta":{"term":"99999999999999999999"}}},null]`), "m")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		entries, err := ParseEntries(data)
		if err != nil && entries != nil {
			t.Errorf("got both %v and %v", err, entries)
		}
		m, found := MasterOf(entries, tag)
		if !found {
			return
		}
		_, port, err := net.SplitHostPort(m.Addr())
		n, e := strconv.Atoi(port)
		if err == nil && (e != nil || n < 1 || n > 65535) {
			t.Errorf("the master is at %q", m.Addr())
		}
		for _, e := range entries {
			if e.Term() > m.Term() && e.Service.Port > 0 && e.Service.Port <= 65535 && tag == "" {
				t.Errorf("returned term %d, although there is term %d", m.Term(), e.Term())
			}
			switch e.Status() {
			case "passing", "warning", "critical":
			default:
				t.Errorf("the status is %q", e.Status())
			}
		}
	})
}

// ParseEvent accepts any data: it returns an event of the wanted type, or an error.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"type":"promote","term":3,"previous":{"id":"a","address":"10.0.0.1:6379"}}`))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if ev, err := ParseEvent(data, TypePromote); err == nil && ev.Type != TypePromote {
			t.Errorf("the type is %q", ev.Type)
		}
	})
}
