package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// parseRequest reads a request; one whose session is gone, or that names nobody to be forced, is none. One that is over is apart.
func parseRequest(p *api.KVPair) (open, over *cluster.Request) {
	r := &cluster.Request{}
	if p.Session == "" || json.Unmarshal(p.Value, r) != nil || r.To == "" && !r.Planned {
		return nil, nil
	}
	if r.Session, r.Index = p.Session, p.ModifyIndex; r.Answer != "" {
		return nil, r
	}
	return r, nil
}

// AnswerRequest writes what has become of a request. ErrMoved: its asker is gone, or somebody else has replied.
func (l Lock) AnswerRequest(ctx context.Context, r cluster.Request) error {
	data, err := json.Marshal(r)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVCheckSession, Key: requestKey(l.Key), Session: r.Session},
			&api.KVTxnOp{Verb: api.KVCAS, Key: requestKey(l.Key), Value: data, Index: r.Index})
	}
	if err != nil {
		return fmt.Errorf("reply to the request %s: %w", requestKey(l.Key), err)
	}
	return nil
}

// ErrRequestPending is returned where another operator's request stands.
var ErrRequestPending = errors.New("another request is under way")

// requestTTL is the shortest that Consul takes: should the asker die, its request ends with its session, after up to twice that.
const requestTTL = 10 * time.Second

// CreateRequest makes a request. It stands until the function that it returns is called, or the member has done it.
func (l Lock) CreateRequest(ctx context.Context, r cluster.Request) (end func(context.Context) error, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	keep := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	id, _, err := l.Client.Session().CreateNoChecks(&api.SessionEntry{Name: "resec request", TTL: requestTTL.String(),
		Behavior: api.SessionBehaviorDelete, LockDelay: time.Millisecond}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("create a session: %w", err)
	}
	keep, over := context.WithCancel(keep)
	var keeping sync.WaitGroup
	end = func(ctx context.Context) error {
		over()
		keeping.Wait()
		ctx, cancel := context.WithTimeout(ctx, CallTimeout)
		defer cancel()
		_, err := l.Client.Session().Destroy(id, (&api.WriteOptions{}).WithContext(ctx))
		return err
	}
	_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: requestKey(l.Key), Value: data, Session: id})
	if err != nil {
		if errors.Is(err, ErrChanged) {
			err = ErrRequestPending
		}
		return nil, errors.Join(fmt.Errorf("write the request %s: %w", requestKey(l.Key), err), end(context.WithoutCancel(ctx)))
	}
	keeping.Go(func() { l.renewRequest(keep, id) })
	return end, nil
}

// renewRequest renews the session of a request. One that is lost has ended it, which its asker sees.
func (l Lock) renewRequest(ctx context.Context, id string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(requestTTL / 3):
		}
		call, cancel := context.WithTimeout(ctx, CallTimeout)
		_, _, _ = l.Client.Session().Renew(id, (&api.WriteOptions{}).WithContext(call))
		cancel()
	}
}
