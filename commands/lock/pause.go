package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Pause is maintenance: nobody is promoted, re-pointed, parked or fenced while it stands.
type Pause struct {
	Until  time.Time `json:"until"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Active tells whether it stands, by this machine's clock.
func (p *Pause) Active(now time.Time) bool { return p != nil && now.Before(p.Until) }

func (p *Pause) String() string {
	text := "paused until " + p.Until.Local().Format(time.RFC3339)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// parsePause reads a pause; what cannot be read is none.
func parsePause(value []byte) *Pause {
	p := &Pause{}
	if json.Unmarshal(value, p) != nil {
		return nil
	}
	return p
}

// Pause pauses the cluster, or changes a pause that stands.
func (l Lock) Pause(ctx context.Context, p Pause) error {
	data, err := json.Marshal(p)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVSet, Key: pauseKey(l.Key), Value: data})
	}
	if err != nil {
		return fmt.Errorf("write the pause %s: %w", pauseKey(l.Key), err)
	}
	return nil
}

// Resume ends a pause; where there is none nothing is done.
func (l Lock) Resume(ctx context.Context) error {
	if _, err := l.commit(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: pauseKey(l.Key)}); err != nil {
		return fmt.Errorf("remove the pause %s: %w", pauseKey(l.Key), err)
	}
	return nil
}
