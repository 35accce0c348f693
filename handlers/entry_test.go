package handlers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instance is an entry as Consul's JSON gives it; status is that of its checks, separated by spaces.
func instance(t *testing.T, id, term, status string, port string, tags ...string) Entry {
	t.Helper()
	var checks []string
	for _, s := range strings.Fields(status) {
		checks = append(checks, `{"Status":"`+s+`","Output":"o"}`)
	}
	entries, err := ParseEntries([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"` + id + `","Service":"redis-master",
		"Tags":["` + strings.Join(tags, `","`) + `"],"Address":"","Port":` + port + `,"Meta":{"id":"` + id + `","term":"` + term + `"}},
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
		{"none of none", nil, "", ""},
		{"the only one, whatever its health", []Entry{in("a", "1", "critical", "6379")}, "", "a"},
		{"the highest term", []Entry{in("a", "9", "passing", "6379"), in("b", "10", "passing", "6379"), in("c", "2", "passing", "6379")}, "", "b"},
		{"the highest term, although it is critical", []Entry{in("a", "1", "passing", "6379"), in("b", "2", "critical", "6379")}, "", "b"},
		{"of equal terms the passing one, wherever it stands", []Entry{in("a", "1", "critical", "6379"), in("b", "1", "passing", "6379")}, "", "b"},
		{"of equal terms the passing one, also when it is first", []Entry{in("a", "1", "passing", "6379"), in("b", "1", "critical", "6379")}, "", "a"},
		{"of equal terms and health the first", []Entry{in("a", "1", "passing", "6379"), in("b", "1", "passing", "6379")}, "", "a"},
		{"a term that is no number is the lowest", []Entry{in("a", "x", "passing", "6379"), in("b", "1", "passing", "6379")}, "", "b"},
		{"with a tag only those that have it", []Entry{in("a", "2", "passing", "6379", "replica"), in("b", "1", "passing", "6379", "x", "master")}, "master", "b"},
		{"with a tag that nobody has none", []Entry{in("a", "2", "passing", "6379", "replica")}, "master", ""},
		{"port 0 is no address", []Entry{in("a", "2", "passing", "0"), in("b", "1", "passing", "6379")}, "", "b"},
		{"a port out of range is no address", []Entry{in("a", "2", "passing", "65536"), in("b", "3", "passing", "-1")}, "", ""},
		{"the highest port is one", []Entry{in("a", "2", "passing", "65535")}, "", "a"},
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
		{"its own address", "10.0.0.1", "10.0.0.2", "10.0.0.2:6379"},
		{"the node's where it has none", "10.0.0.1", "", "10.0.0.1:6379"},
		{"an IPv6 address in brackets", "10.0.0.1", "fd00::2", "[fd00::2]:6379"},
		{"the node's IPv6 address in brackets", "fd00::1", "", "[fd00::1]:6379"},
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

func TestEntry_Says(t *testing.T) {
	type words struct {
		ID     string
		Term   uint64
		Status string
	}
	for _, tt := range []struct {
		name  string
		entry Entry
		want  words
	}{
		{"an instance that no resec registered has no id and no term", Entry{}, words{"", 0, "passing"}},
		{"the worst check counts, when it is first", instance(t, "a", "3", "critical warning passing", "1"), words{"a", 3, "critical"}},
		{"the worst check counts, when it is last", instance(t, "a", "3", "passing warning critical", "1"), words{"a", 3, "critical"}},
		{"a warning is worse than passing", instance(t, "a", "3", "passing warning passing", "1"), words{"a", 3, "warning"}},
		{"the highest term is read", instance(t, "a", "18446744073709551615", "", "1"), words{"a", 18446744073709551615, "passing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, words{tt.entry.ID(), tt.entry.Term(), tt.entry.Status()}); d != "" {
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
		{"null is none", "null\n", 0, false},
		{"an empty array is none", "[]", 0, false},
		{"what we do not read is left out", `[{"Node":{"ID":"x"},"Service":{"Weights":{"Passing":1}},"Checks":[{"Type":"ttl"}]}]`, 1, false},
		{"nothing is an error", "", 0, true},
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
