package redis

import "testing"

// A full sync is read by the same version of RDB and by later ones.
func TestCannotLoad(t *testing.T) {
	for _, tt := range []struct {
		own, master string
		want        bool
	}{
		{"7.0.15", "7.0.15", false},
		{"7.0.15", "7.0.4", false},
		{"7.0.15", "7.2.4", true}, // or Valkey
		{"7.0.15", "8.0.2", true},
		{"6.2.16", "7.0.15", true},
		{"8.0.2", "7.0.15", false},
		{"7.4.2", "8.4.0", false}, // RDB 12, all of them
		{"7.2.4", "8.0.2", true},
		{"8.4.0", "8.6.0", true},
		{"8.8.0", "9.4.0", false}, // unknown
		{"9.0.0", "9.4.0", false},
		{"8.0.2", "9.4.0", true},
		{"", "8.0.2", false},
		{"7.0.15", "", false},
		{"7.0.15", "unstable", false},
	} {
		if got := CannotLoad(tt.own, tt.master); got != tt.want {
			t.Errorf("%s from %s: got %t", tt.own, tt.master, got)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"7.0.15", "7.0.2", 0}, {"7.0.15", "7.2.0", -1}, {"8.0.0", "7.4.9", 1}, {"10.0.0", "9.9.9", 1}, {"", "7.0.0", -1}, {"x", "", 0},
	} {
		if got := CompareVersions(tt.a, tt.b); got != tt.want || CompareVersions(tt.b, tt.a) != -tt.want {
			t.Errorf("%s and %s: got %d", tt.a, tt.b, got)
		}
	}
}

func TestStatus_CanResync(t *testing.T) {
	at := func(id string, offset, backlog int64) Status {
		return Status{Position: Position{ReplID: id, Offset: offset}, BacklogStart: backlog}
	}
	master := at("l", 100, 50)
	for _, tt := range []struct {
		name        string
		own, master Status
		want        bool
	}{
		{"all of it is in the backlog", at("l", 60, 0), master, true},
		{"from its first byte", at("l", 49, 0), master, true},
		{"too far behind", at("l", 48, 0), master, false},
		{"nothing is missing", at("l", 100, 0), master, true},
		{"another history", at("x", 60, 0), master, false},
		{"without a backlog", at("l", 100, 0), at("l", 100, 0), false},
	} {
		if got := tt.own.CanResync(tt.master); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}
