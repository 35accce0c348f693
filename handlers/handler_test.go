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
		{"no data are an empty event", "", TypeFence, Event{Type: TypeFence}, ""},
		{"a promote event",
			`{"type":"promote","term":7,"previous":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":6}}` + "\n",
			TypePromote,
			Event{Type: TypePromote, Term: 7, Previous: &Peer{ID: "a", RunID: "r", Address: "10.0.0.1:6379", Term: 6}}, ""},
		{"a fence event",
			`{"type":"fence","term":7,"reason":"leaving"}`, TypeFence, Event{Type: TypeFence, Term: 7, Reason: "leaving"}, ""},
		{"an event without a type has the wanted one", `{"term":3}`, TypePromote, Event{Type: TypePromote, Term: 3}, ""},
		{"unknown fields are ignored", `{"type":"fence","more":[1]}`, TypeFence, Event{Type: TypeFence}, ""},
		{"another type is an error", `{"type":"promote"}`, TypeFence, Event{Type: TypePromote},
			`the event on standard input is of type "promote", this handler takes "fence"`},
		{"service entries are an error", `[]`, TypePromote, Event{Type: TypePromote},
			"read the event on standard input: json: cannot unmarshal array into Go value of type handlers.Event"},
		{"other text than JSON is an error", `promote`, TypePromote, Event{Type: TypePromote},
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

// at returns a status with a position.
func at(st redis.Status, replID, replID2 string, offset int64) redis.Status {
	st.Position = redis.Position{ReplID: replID, ReplID2: replID2, Offset: offset}
	return st
}

// version returns a status with a version.
func version(st redis.Status, v string) redis.Status {
	st.Version = v
	return st
}

func TestMayFollow(t *testing.T) {
	for _, tt := range []struct {
		name        string
		own, master redis.Status
		force       bool
		err         string
	}{
		{"data follows data", redis.Status{Keys: 5}, redis.Status{Master: true, Keys: 1}, false, ""},
		{"no data follows data", redis.Status{}, redis.Status{Master: true, Keys: 1}, false, ""},
		{"no data follows no data", redis.Status{}, redis.Status{Master: true}, false, ""},
		{"data does not follow no data",
			redis.Status{Keys: 5}, redis.Status{Master: true}, false, "refused: it is empty, and would wipe 5 keys here"},
		{"an operator may force it", redis.Status{Keys: 5}, redis.Status{Master: true}, true, ""},
		{"a flushed master, whose history contains ours",
			at(redis.Status{Keys: 5}, "l", "", 9), at(redis.Status{Master: true}, "l", "", 10), false, ""},
		{"a flushed master that was promoted since",
			at(redis.Status{Keys: 5}, "l", "", 9), at(redis.Status{Master: true}, "m", "l", 10), false, ""},
		{"our history is longer than the master's",
			at(redis.Status{Keys: 5}, "l", "", 11), at(redis.Status{Master: true}, "l", "", 10), false,
			"refused: it is empty, and would wipe 5 keys here"},
		{"a full sync that it cannot read", version(redis.Status{Keys: 5}, "7.0.15"),
			version(redis.Status{Master: true, Keys: 1}, "8.0.2"), false,
			"refused: redis 7.0.15 cannot read a full sync of redis 8.0.2, and would delete its data first; upgrade it"},
		{"also without data", version(redis.Status{}, "7.0.15"), version(redis.Status{Master: true, Keys: 1}, "8.0.2"), false,
			"refused: redis 7.0.15 cannot read a full sync of redis 8.0.2, and would delete its data first; upgrade it"},
		{"unless it needs none", version(at(redis.Status{Keys: 5}, "l", "", 9), "7.0.15"),
			version(at(redis.Status{Master: true, Keys: 1, BacklogStart: 1}, "l", "", 10), "8.0.2"), false, ""},
		{"or an operator forces it", version(redis.Status{Keys: 5}, "7.0.15"), version(redis.Status{Master: true, Keys: 1}, "8.0.2"),
			true, ""},
		{"a newer version reads it", version(redis.Status{Keys: 5}, "8.0.2"), version(redis.Status{Master: true, Keys: 1}, "7.0.15"),
			false, ""},
		{"the first write would end it", redis.Status{WriteEndsReplica: true,
			Refusals: []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}},
			redis.Status{Master: true, Keys: 1}, false, "refused: the first write would end the replica: its disk is full"},
		{"a replica is not followed",
			redis.Status{}, redis.Status{MasterAddr: "10.0.0.1:6379", Keys: 1}, false,
			"refused: it is a replica of 10.0.0.1:6379"},
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
