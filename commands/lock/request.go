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
	"resec/commands/pace"
)

// AnswerRequest writes the answer in r to its request. It returns ErrChanged if the request's session has ended or another agent
// has answered, ErrDenied if the token does not suffice, and any error of the call.
func (l Lock) AnswerRequest(ctx context.Context, r cluster.Request) error {
	data, err := json.Marshal(r)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVCheckSession, Key: requestKey(l.Key), Session: r.Session},
			&api.KVTxnOp{Verb: api.KVCAS, Key: requestKey(l.Key), Value: data, Index: r.Index})
	}
	if err != nil {
		return fmt.Errorf("answer the request %s: %w", requestKey(l.Key), err)
	}
	return nil
}

// ErrRequestPending is returned if the cluster has another operator's request already.
var ErrRequestPending = errors.New("another request is under way")

// requestTTL is the shortest session TTL that Consul accepts. If the requesting process dies, its request ends with its session,
// at most twice the TTL later.
const requestTTL = 10 * time.Second

// CreateRequest writes an operator's request under a session of its own, which it renews. The request exists until an agent has
// fulfilled it, or until the caller calls end, which destroys the session and returns an error if that fails. CreateRequest
// returns ErrRequestPending, ErrDenied if the token does not suffice, and any error of the calls.
func (l Lock) CreateRequest(ctx context.Context, r cluster.Request) (end func(context.Context) error, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the request %s: %w", requestKey(l.Key), err)
	}
	session, err := l.createRequestSession(ctx)
	if err != nil {
		return nil, err
	}
	renewals, stop := context.WithCancel(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	end = func(ctx context.Context) error {
		stop()
		renewing.Wait()
		return session.Destroy(ctx)
	}
	_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: requestKey(l.Key), Value: data, Session: session.ID})
	if errors.Is(err, ErrChanged) {
		err = ErrRequestPending
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the request %s: %w", requestKey(l.Key), err), end(context.WithoutCancel(ctx)))
	}
	renewing.Go(func() { renewRequest(renewals, session) })
	return end, nil
}

// createRequestSession creates a session that deletes its keys when it ends. It belongs to the node of Consul's agent. In another
// datacenter Consul does not know that node, so there it belongs to the node of a member.
func (l Lock) createRequestSession(ctx context.Context) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, pace.CallTimeout)
	defer cancel()
	entry := api.SessionEntry{Name: "resec request", TTL: requestTTL.String(), Behavior: api.SessionBehaviorDelete,
		LockDelay: time.Millisecond}
	id, _, err := l.Client.Session().CreateNoChecks(&entry, (&api.WriteOptions{}).WithContext(ctx))
	if nodeUnknown(err) {
		if entry.Node, err = l.memberNode(ctx); err == nil {
			id, _, err = l.Client.Session().CreateNoChecks(&entry, (&api.WriteOptions{}).WithContext(ctx))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create a session for the request %s: %w", requestKey(l.Key), err)
	}
	return Adopt(l.Client, id, SessionOptions{TTL: requestTTL}), nil
}

// memberNode is the node of the session that holds the lock, or of another member's session. It returns an error if there is
// none.
func (l Lock) memberNode(ctx context.Context) (string, error) {
	v, err := l.Read(ctx)
	if err != nil {
		return "", err
	}
	sessions := []string{v.Session}
	for _, key := range v.LiveAgents {
		sessions = append(sessions, key.Session)
	}
	for _, id := range sessions {
		if id == "" {
			continue
		}
		s, _, err := l.Client.Session().Info(id, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return "", fmt.Errorf("read the session %s: %w", id, err)
		}
		if s != nil {
			return s.Node, nil
		}
	}
	return "", errors.New("no member has a session in that datacenter")
}

// renewRequest renews the session of a request. A lost session has ended the request, which its caller sees in the view.
func renewRequest(ctx context.Context, s *Session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(requestTTL / 3):
		}
		_ = s.renew(ctx, pace.CallTimeout)
	}
}
