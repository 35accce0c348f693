// Package handlers changes one Redis server on an event: promote, replicate and fence are built in, and Command runs an
// operator's own program. An event is JSON. No handler calls Consul; entry.go only reads the JSON of its health API.
//
// A handler runs in its caller's goroutine. Command has one goroutine that waits for the child.
package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// The types of Event.
const (
	TypePromote = "promote" // this member holds the lock: its Redis must become master
	TypeFence   = "fence"   // this member no longer holds the lock: its Redis must refuse writes
)

// TypeReplicate is the type of a handler that gets service entries instead of an Event.
const TypeReplicate = "replicate"

// Event is the input of a handler under elect.
type Event struct {
	Type     string `json:"type"`
	Term     uint64 `json:"term,omitempty"`     // of the next master, or of the last one for a fence; it only rises
	Previous *Peer  `json:"previous,omitempty"` // the published master before this event
	Reason   string `json:"reason,omitempty"`   // of a fence
}

// Peer is a published master.
type Peer struct {
	ID      string `json:"id"`
	RunID   string `json:"run_id,omitempty"`
	Address string `json:"address"` // host:port
	Term    uint64 `json:"term"`
}

// Result is what a built-in handler did: one JSON object on standard output.
type Result struct {
	Handler string `json:"handler"`
	Redis   string `json:"redis"`            // host:port of the changed server
	RunID   string `json:"run_id,omitempty"` // of that Redis
	Role    string `json:"role,omitempty"`   // master or replica, afterwards
	Master  string `json:"master,omitempty"` // host:port that a replica follows
	Changed bool   `json:"changed"`
	Reason  string `json:"reason,omitempty"` // why nothing was done
}

// Handler handles an event, which is JSON. env (KEY=value) is added to a child's environment. It returns an error if the
// event was not handled.
type Handler interface {
	Handle(ctx context.Context, event []byte, env ...string) error
}

// ParseEvent reads an event, which must have the wanted type if it has one. No data are an empty event. It returns an error
// for any other type or JSON.
func ParseEvent(data []byte, want string) (Event, error) {
	ev := Event{Type: want}
	if len(bytes.TrimSpace(data)) == 0 {
		return ev, nil
	}
	if err := json.Unmarshal(data, &ev); err != nil {
		return ev, fmt.Errorf("read the event on standard input: %w", err)
	}
	if ev.Type != want {
		return ev, fmt.Errorf("the event on standard input is of type %q, this handler takes %q", ev.Type, want)
	}
	return ev, nil
}
