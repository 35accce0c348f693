package cluster

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"resec/handlers/redis"
)

// histories are l<from> … l<to-1>.
func histories(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint("l", i))
	}
	return out
}

// at is a position in a history that continues another.
func at(replID, continues string) redis.Position {
	return redis.Position{ReplID: replID, ReplID2: continues}
}

// The histories after a master was published.
func TestState_WithMasterHistories(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string
		p      redis.Position
		want   []string
	}{
		{"the first master's history", nil, at("a", ""), []string{"a"}},
		{"both of its replication IDs", nil, at("b", "a"), []string{"a", "b"}},
		{"a promotion continues the newest", []string{"a", "b"}, at("c", "b"), []string{"a", "b", "c"}},
		{"or an older one, and is the newest", []string{"a", "b"}, at("c", "a"), []string{"a", "b", "c"}},
		{"a master that reacquires its lock adds nothing", []string{"a", "b"}, at("b", "a"), []string{"a", "b"}},
		{"a known history that is published again is the newest", []string{"a", "x", "b"}, at("x", "a"), []string{"a", "b", "x"}},
		{"data that share no history begin a new list", []string{"a", "b"}, at("z", "y"), []string{"y", "z"}},
		{"up to the limit all are kept", histories(0, 63), at("l63", "l62"), histories(0, 64)},
		{"above the limit the oldest is dropped", histories(0, 64), at("l64", "l63"), histories(1, 65)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, State{Histories: tt.before}.WithMaster(Master{}, tt.p).Histories); d != "" {
				t.Error(d)
			}
		})
	}
}

// The histories before a promotion.
func TestState_AliasHistory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string
		p      redis.Position
		want   map[string]string
	}{
		{"a known history adds nothing", []string{"a", "b"}, at("b", "a"), nil},
		{"nor does an unrelated one", []string{"a", "b"}, at("z", "y"), nil},
		{"nor one that continues none", []string{"a", "b"}, at("z", ""), nil},
		{"one that continues the newest is an alias of it", []string{"a", "b"}, at("c", "b"), map[string]string{"c": "b"}},
		{"one that continues an older one is an alias of that", []string{"a", "b"}, at("c", "a"), map[string]string{"c": "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Histories: tt.before}
			is := s.AliasHistory(tt.p)
			if d := cmp.Diff(tt.want, is.HistoryAliases, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.before, is.Histories); d != "" {
				t.Error(d)
			}
			again := is.AliasHistory(at("d", tt.p.ReplID))
			if from := again.HistoryAliases["d"]; tt.want != nil && from != tt.want["c"] {
				t.Errorf("what continues it is an alias of %q", from)
			}
		})
	}
}

// Views share the histories: what one state adds does not change another.
func TestState_SharesNothing(t *testing.T) {
	s := State{Histories: append(make([]string, 0, 8), "a", "b")}
	b, c := s.WithMaster(Master{}, at("x", "b")), s.AliasHistory(at("y", "a"))
	if d := cmp.Diff([][]string{{"a", "b"}, {"a", "b", "x"}, {"a", "b"}},
		[][]string{s.Histories, b.Histories, c.Histories}); d != "" {
		t.Error(d)
	}
	if c.AliasHistory(at("z", "b")); len(c.HistoryAliases) != 1 || s.HistoryAliases != nil {
		t.Errorf("aliases: %v, %v", s.HistoryAliases, c.HistoryAliases)
	}
}

// The ID that our Redis has before it syncs from the source is excluded, unless it is known, empty, or the source's.
func TestState_AliasRuns(t *testing.T) {
	s := State{Histories: []string{"a", "b"}}
	source := redis.Status{RunID: "source", Position: at("c", "b")}
	for _, tt := range []struct {
		name string
		own  redis.Position
		want map[string]string
	}{
		{"an unrelated ID", at("z", ""), map[string]string{"source": "b", "own": "b", "z": ""}},
		{"a known ID", at("a", ""), map[string]string{"source": "b", "own": "b"}},
		{"no ID", at("", ""), map[string]string{"source": "b", "own": "b"}},
		{"the source's ID", at("c", ""), map[string]string{"source": "b", "own": "b"}},
	} {
		got := s.AliasRuns(source, redis.Status{RunID: "own", Position: tt.own})
		if d := cmp.Diff(tt.want, got.HistoryAliases); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}
