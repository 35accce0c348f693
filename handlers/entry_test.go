package handlers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instance is an entry in Consul's JSON; status has the states of its checks, separated by spaces.
func instance(t *testing.T, id, term, status string, port string, tags ...string) Entry {
	t.Helper()
	var checks []string
	for _, s := range strings.Fields(status) {
		checks = append(checks, `{"Status":"`+s+`","Output":"o"}`)
	}
	entries, err := ParseEntries([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},
		"Service":{"ID":"` + id + `","Service":"redis-master",
			"Tags":["` + strings.Join(tags, `","`) + `"],"Address":"","Port":` + port + `,
			"Meta":{"id":"` + id + `","term":"` + term + `"}},
		"Checks":[` + strings.Join(checks, ",") + `]}]`))
	if err != nil {
		t.Fatal(err)
	}
	return entries[0]
}

func TestMasterOf(t *testing.T) {
	in := func(id, term, status, port string, tags ...string) Entry {
		return instance(t, id, term, status, port, tags...)
	}
	for _, tt := range []struct {
		name    string
		entries []Entry
		tag     string
		want    string // id; empty: none
	}{
		{"no entries", nil, "", ""},
		{"the only entry, although it is critical", []Entry{in("a", "1", "critical", "6379")}, "", "a"},
		{"the highest term",
			[]Entry{in("a", "9", "passing", "6379"), in("b", "10", "passing", "6379"), in("c", "2", "passing", "6379")}, "", "b"},
		{"the highest term, although it is critical",
			[]Entry{in("a", "1", "passing", "6379"), in("b", "2", "critical", "6379")}, "", "b"},
		{"of equal terms the passing one, if it is last",
			[]Entry{in("a", "1", "critical", "6379"), in("b", "1", "passing", "6379")}, "", "b"},
		{"of equal terms the passing one, if it is first",
			[]Entry{in("a", "1", "passing", "6379"), in("b", "1", "critical", "6379")}, "", "a"},
		{"of equal terms and health the first",
			[]Entry{in("a", "1", "passing", "6379"), in("b", "1", "passing", "6379")}, "", "a"},
		{"a term that is no number is the lowest",
			[]Entry{in("a", "x", "passing", "6379"), in("b", "1", "passing", "6379")}, "", "b"},
		{"with a tag only entries that have it",
			[]Entry{in("a", "2", "passing", "6379", "replica"), in("b", "1", "passing", "6379", "x", "master")}, "master", "b"},
		{"with a tag that no entry has", []Entry{in("a", "2", "passing", "6379", "replica")}, "master", ""},
		{"port 0 is invalid", []Entry{in("a", "2", "passing", "0"), in("b", "1", "passing", "6379")}, "", "b"},
		{"ports out of range are invalid", []Entry{in("a", "2", "passing", "65536"), in("b", "3", "passing", "-1")}, "", ""},
		{"the highest port is valid", []Entry{in("a", "2", "passing", "65535")}, "", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found := MasterOf(tt.entries, tt.tag)
			if got.ID() != tt.want || found != (tt.want != "") {
				t.Errorf("got %q, %t; want %q", got.ID(), found, tt.want)
			}
		})
	}
}

func TestEntry_Addr(t *testing.T) {
	for _, tt := range []struct {
		name, node, service string
		want                string
	}{
		{"the address of the service", "10.0.0.1", "10.0.0.2", "10.0.0.2:6379"},
		{"without one the address of the node", "10.0.0.1", "", "10.0.0.1:6379"},
		{"an IPv6 address in brackets", "10.0.0.1", "fd00::2", "[fd00::2]:6379"},
		{"the IPv6 address of the node in brackets", "fd00::1", "", "[fd00::1]:6379"},
		{"a name", "10.0.0.1", "redis.example", "redis.example:6379"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e Entry
			e.Node.Address, e.Service.Address, e.Service.Port = tt.node, tt.service, 6379
			if got := e.Addr(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEntry_Fields(t *testing.T) {
	type fields struct {
		ID     string
		Term   uint64
		Status string
	}
	for _, tt := range []struct {
		name  string
		entry Entry
		want  fields
	}{
		{"an instance of another program has no id and no term", Entry{}, fields{"", 0, "passing"}},
		{"the worst check counts, if it is first",
			instance(t, "a", "3", "critical warning passing", "1"), fields{"a", 3, "critical"}},
		{"the worst check counts, if it is last",
			instance(t, "a", "3", "passing warning critical", "1"), fields{"a", 3, "critical"}},
		{"a warning is worse than passing", instance(t, "a", "3", "passing warning passing", "1"), fields{"a", 3, "warning"}},
		{"the highest term is read",
			instance(t, "a", "18446744073709551615", "", "1"), fields{"a", 18446744073709551615, "passing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, fields{tt.entry.ID(), tt.entry.Term(), tt.entry.Status()}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseEntries(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		n          int
		err        bool
	}{
		{"null is no entry", "null\n", 0, false},
		{"an empty array is no entry", "[]", 0, false},
		{"unknown fields are ignored",
			`[{"Node":{"ID":"x"},"Service":{"Weights":{"Passing":1}},"Checks":[{"Type":"ttl"}]}]`, 1, false},
		{"no data are an error", "", 0, true},
		{"an object is an error", `{"type":"promote"}`, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseEntries([]byte(tt.data))
			if len(got) != tt.n || (err != nil) != tt.err {
				t.Errorf("got %d entries, %v; want %d, error %t", len(got), err, tt.n, tt.err)
			}
		})
	}
}

// The node's address is another one only if the instance is registered with a host of its own.
func TestEntry_NodeAddr(t *testing.T) {
	for _, tt := range []struct{ node, service, want string }{
		{"10.0.0.1", "", ""}, {"10.0.0.1", "10.0.0.1", ""}, {"", "10.0.0.2", ""},
		{"10.0.0.1", "10.0.0.2", "10.0.0.1:6379"}, {"fd00::1", "redis", "[fd00::1]:6379"},
	} {
		var e Entry
		e.Node.Address, e.Service.Address, e.Service.Port = tt.node, tt.service, 6379
		if got := e.NodeAddr(); got != tt.want {
			t.Errorf("node %q, service %q: got %q, want %q", tt.node, tt.service, got, tt.want)
		}
	}
}
