package handlers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
)

func TestParseEvent(t *testing.T) {
	for _, tt := range []struct {
		name, data, want string
		event            Event
		err              string
	}{
		{"no event is an empty one", "", TypeFence, Event{Type: TypeFence}, ""},
		{"a promote event", `{"type":"promote","term":7,"previous":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":6}}` + "\n", TypePromote,
			Event{Type: TypePromote, Term: 7, Previous: &Peer{ID: "a", RunID: "r", Address: "10.0.0.1:6379", Term: 6}}, ""},
		{"a fence event", `{"type":"fence","term":7,"reason":"leaving"}`, TypeFence, Event{Type: TypeFence, Term: 7, Reason: "leaving"}, ""},
		{"an event that names no type is what is wanted", `{"term":3}`, TypePromote, Event{Type: TypePromote, Term: 3}, ""},
		{"fields that we do not know are left out", `{"type":"fence","more":[1]}`, TypeFence, Event{Type: TypeFence}, ""},
		{"an event of the other type is refused", `{"type":"promote"}`, TypeFence, Event{Type: TypePromote},
			`the event on standard input is of type "promote", this handler takes "fence"`},
		{"service entries are refused", `[]`, TypePromote, Event{Type: TypePromote},
			"read the event on standard input: json: cannot unmarshal array into Go value of type handlers.Event"},
		{"what is no JSON is refused", `promote`, TypePromote, Event{Type: TypePromote},
			"read the event on standard input: invalid character 'p' looking for beginning of value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseEvent([]byte(tt.data), tt.want)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if d := cmp.Diff(tt.err, text); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.event, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// at is a server at a position.
func at(st redis.Status, lineage, continues string, offset int64) redis.Status {
	st.Position = redis.Position{ReplID: lineage, ReplID2: continues, Offset: offset}
	return st
}

func TestMayFollow(t *testing.T) {
	for _, tt := range []struct {
		name        string
		own, master redis.Status
		force       bool
		err         string
	}{
		{"data follow data", redis.Status{Keys: 5}, redis.Status{Master: true, Keys: 1}, false, ""},
		{"no data follow data", redis.Status{}, redis.Status{Master: true, Keys: 1}, false, ""},
		{"no data follow no data", redis.Status{}, redis.Status{Master: true}, false, ""},
		{"data never follow no data", redis.Status{Keys: 5}, redis.Status{Master: true}, false, "refused: it is empty, and would wipe 5 keys here"},
		{"unless an operator wants it", redis.Status{Keys: 5}, redis.Status{Master: true}, true, ""},
		{"or the master's history goes on from ours: it was flushed", at(redis.Status{Keys: 5}, "l", "", 9), at(redis.Status{Master: true}, "l", "", 10), false, ""},
		{"also through a promotion", at(redis.Status{Keys: 5}, "l", "", 9), at(redis.Status{Master: true}, "m", "l", 10), false, ""},
		{"not where ours has gone on", at(redis.Status{Keys: 5}, "l", "", 11), at(redis.Status{Master: true}, "l", "", 10), false, "refused: it is empty, and would wipe 5 keys here"},
		{"nobody follows a replica", redis.Status{}, redis.Status{MasterAddr: "10.0.0.1:6379", Keys: 1}, false, "refused: it is a replica of 10.0.0.1:6379"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := MayFollow(tt.own, tt.master, tt.force)
			switch {
			case err == nil && tt.err != "":
				t.Errorf("allowed, want %q", tt.err)
			case err != nil && (err.Error() != tt.err || !errors.Is(err, ErrRefused)):
				t.Errorf("got %q, want %q", err, tt.err)
			}
		})
	}
}
