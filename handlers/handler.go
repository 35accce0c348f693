// Package handlers holds what is done to a Redis server when the world changes: promote, replicate, fence, or a command
// of the operator's own. A handler is told an event as plain JSON and knows nothing of Consul.
package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// The types of Event.
const (
	TypePromote = "promote" // this member holds the lock: its Redis shall be master
	TypeFence   = "fence"   // it holds the lock no longer: its Redis shall accept no writes
)

// TypeReplicate is the kind of a handler that is told service entries instead.
const TypeReplicate = "replicate"

// Event is what a handler is told under elect.
type Event struct {
	Type     string `json:"type"`
	Term     uint64 `json:"term,omitempty"`     // of the master to be, or that was; it only rises
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

// Result is what a handler did: one JSON object on standard output.
type Result struct {
	Handler string `json:"handler"`
	Redis   string `json:"redis"`            // host:port it acted on
	RunID   string `json:"run_id,omitempty"` // of that Redis
	Role    string `json:"role,omitempty"`   // master or replica, afterwards
	Master  string `json:"master,omitempty"` // host:port that a replica follows
	Changed bool   `json:"changed"`
	Reason  string `json:"reason,omitempty"` // why nothing was done
}

// Handler is invoked with an event as JSON; env is added to a child's environment (KEY=value).
type Handler interface {
	Handle(ctx context.Context, event []byte, env ...string) error
}

// Func is a handler in this process.
type Func func(ctx context.Context, event []byte) error

// Handle calls f.
func (f Func) Handle(ctx context.Context, event []byte, _ ...string) error { return f(ctx, event) }

// ParseEvent reads an event that should be of the given type; no event at all is an empty one.
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
