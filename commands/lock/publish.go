package lock

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Publication is what Publish writes.
type Publication struct {
	State      cluster.State // with the new master
	EndRequest bool          // also delete the operator's request in the view, which the new master fulfils
	Also       api.TxnOps    // also carry these out, unless Consul rejects them
}

// Published is what Publish has written.
type Published struct {
	View        cluster.View
	AlsoApplied bool // the operations of Also were carried out; false if that is unknown
}

// Publish writes the state with a new master as Write does, together with what else the publication asks for. If Consul rejects
// the whole, it leaves Also out, then the request. If Consul's answer is lost, it reads what became of the write, and repeats
// it once, because no Redis may accept writes meanwhile. It returns the errors of Write. On an error Published.View is the
// view given.
func (l Lock) Publish(ctx context.Context, session string, v cluster.View, p Publication) (Published, error) {
	first, err := l.publishOnce(ctx, session, v, p)
	if answered(err) {
		return first, err
	}
	now, done, readErr := l.published(ctx, session, p.State)
	if readErr != nil {
		return Published{View: v}, err
	}
	if done {
		return Published{View: now}, nil
	}
	second, err := l.publishOnce(ctx, session, now, p)
	if !errors.Is(err, ErrChanged) {
		return second, err
	}
	if now, done, readErr = l.published(ctx, session, p.State); readErr == nil && done { // the first write arrived late
		return Published{View: now}, nil
	}
	return second, err
}

// answered reports whether Consul said what became of a transaction.
func answered(err error) bool {
	return err == nil || errors.Is(err, ErrChanged) || errors.Is(err, ErrDenied)
}

// published reads the lock, and reports whether Consul has the master of s. It returns ErrChanged if the session does not hold
// the lock.
func (l Lock) published(ctx context.Context, session string, s cluster.State) (v cluster.View, done bool, err error) {
	if v, err = l.Read(ctx); err != nil {
		return v, false, err
	}
	if v.Session != session {
		return v, false, ErrChanged
	}
	return v, v.State.Master != nil && v.State.Master.Peer == s.Master.Peer, nil
}

// publishOnce tries the transaction with all that is asked for, then with less, until Consul accepts one.
func (l Lock) publishOnce(ctx context.Context, session string, v cluster.View, p Publication) (out Published, err error) {
	for i, more := range l.publishTries(v, p) {
		out.View, err = l.Write(ctx, session, v, p.State, more...)
		out.AlsoApplied = err == nil && i == 0
		if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrDenied) {
			break
		}
	}
	if err == nil && p.EndRequest {
		out.View.Request = nil
	}
	return out, err
}

// publishTries returns the further operations of each try: all, then only the request's end, then none. Another operator's
// request may have replaced the one in the view.
func (l Lock) publishTries(v cluster.View, p Publication) (tries []api.TxnOps) {
	var endRequest api.TxnOps
	if p.EndRequest && v.Request != nil {
		endRequest = kvOps(&api.KVTxnOp{Verb: api.KVDeleteCAS, Key: requestKey(l.Key), Index: v.Request.Index})
	}
	tries = []api.TxnOps{slices.Concat(endRequest, p.Also)}
	if len(p.Also) > 0 {
		tries = append(tries, endRequest)
	}
	if len(endRequest) > 0 {
		tries = append(tries, nil)
	}
	return tries
}
