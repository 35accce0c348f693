package handlers

import (
	"net"
	"strconv"
	"testing"
)

// Whatever stands among service entries: who is picked as the master has a port, and an address of two parts.
func FuzzEntries(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"s","Port":6379,"Meta":{"term":"3","id":"a"}},"Checks":[{"Status":"passing"}]}]`), "")
	f.Add([]byte(`[{"Service":{"Address":"$(touch x)","Port":70000,"Tags":["m"],"Meta":{"term":"99999999999999999999"}}},null]`), "m")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		entries, err := ParseEntries(data)
		if err != nil && entries != nil {
			t.Errorf("%v, and yet %v", err, entries)
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
				t.Errorf("term %d was picked, and there is %d", m.Term(), e.Term())
			}
			switch e.Status() {
			case "passing", "warning", "critical":
			default:
				t.Errorf("a status is %q", e.Status())
			}
		}
	})
}

// An event is of the type that is wanted, or an error.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"type":"promote","term":3,"previous":{"id":"a","address":"10.0.0.1:6379"}}`))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if ev, err := ParseEvent(data, TypePromote); err == nil && ev.Type != TypePromote {
			t.Errorf("it is %q", ev.Type)
		}
	})
}
