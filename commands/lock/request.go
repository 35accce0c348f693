package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Request is an operator's: that member shall be master, whatever it holds. It lives with the session of who asks.
type Request struct {
	To       string   `json:"to"`                 // id
	Overrule []string `json:"overrule,omitempty"` // ids that shall follow, whatever that wipes
	Session  string   `json:"-"`
}

// parseRequest reads a request; one whose session is gone, or that names nobody, is none.
func parseRequest(p *api.KVPair) *Request {
	r := &Request{Session: p.Session}
	if r.Session == "" || json.Unmarshal(p.Value, r) != nil || r.To == "" {
		return nil
	}
	return r
}

// Withdraw ends a request that cannot be fulfilled.
func (l Lock) Withdraw(ctx context.Context) error {
	if _, err := l.commit(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: requestKey(l.Key)}); err != nil {
		return fmt.Errorf("withdraw the request %s: %w", requestKey(l.Key), err)
	}
	return nil
}

// ErrAsked is returned where another operator's request stands.
var ErrAsked = errors.New("another request is under way")

// Ask makes a request for at least so long, of 10 s to 24 h, as Consul has it: should this process die, its session ends
// by itself after up to twice that. It stands until the function that it returns is called, or the member has done it.
func (l Lock) Ask(ctx context.Context, r Request, atLeast time.Duration) (end func(context.Context) error, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	id, _, err := l.Client.Session().CreateNoChecks(&api.SessionEntry{Name: "resec failover", TTL: min(max(atLeast, 10*time.Second), 24*time.Hour).String(),
		Behavior: api.SessionBehaviorDelete, LockDelay: time.Millisecond}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("create a session: %w", err)
	}
	end = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, CallTimeout)
		defer cancel()
		_, err := l.Client.Session().Destroy(id, (&api.WriteOptions{}).WithContext(ctx))
		return err
	}
	_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: requestKey(l.Key), Value: data, Session: id})
	if err != nil {
		if errors.Is(err, ErrMoved) {
			err = ErrAsked
		}
		return nil, errors.Join(fmt.Errorf("write the request %s: %w", requestKey(l.Key), err), end(context.WithoutCancel(ctx)))
	}
	return end, nil
}
