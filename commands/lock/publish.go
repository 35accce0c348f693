package lock

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Publish is Write, and in the same transaction ends the operator's request that it fulfils, where there is one, and does what
// else is given. done: that, too; where it cannot be any more, the rest is done without. Where Consul's answer is lost it is asked
// what became of that, and told once more: nobody may accept writes meanwhile.
func (l Lock) Publish(ctx context.Context, session string, v cluster.View, s cluster.State, granted bool, also api.TxnOps) (_ cluster.View, done bool, err error) {
	after, done, err := l.publish(ctx, session, v, s, granted, also)
	if err == nil || errors.Is(err, ErrChanged) || errors.Is(err, ErrDenied) {
		return after, done, err
	}
	now, is, e := l.published(ctx, session, s)
	if e != nil {
		return v, false, err
	} else if is {
		return now, false, nil
	}
	if after, done, err = l.publish(ctx, session, now, s, granted, also); errors.Is(err, ErrChanged) { // the first is done by now
		if now, is, e := l.published(ctx, session, s); e == nil && is {
			return now, false, nil
		}
	}
	return after, done, err
}

// published tells whether a state's master, of its term, stands in Consul. ErrMoved: the session does not hold the lock.
func (l Lock) published(ctx context.Context, session string, s cluster.State) (v cluster.View, is bool, err error) {
	if v, err = l.Read(ctx); err == nil && v.Session != session {
		err = ErrChanged
	}
	return v, err == nil && v.State.Master != nil && v.State.Master.Peer == s.Master.Peer, err
}

func (l Lock) publish(ctx context.Context, session string, v cluster.View, s cluster.State, granted bool, also api.TxnOps) (_ cluster.View, done bool, err error) {
	var end api.TxnOps
	if granted && v.Request != nil { // another's may stand there by now
		end = api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: requestKey(l.Key), Index: v.Request.Index}}}
	}
	tries := []api.TxnOps{slices.Concat(end, also), end, nil}
	after := v
	for i, more := range tries {
		if i > 0 && len(more) == len(tries[i-1]) {
			continue
		}
		after, err = l.write(ctx, session, v, s, more...)
		if done = err == nil && i == 0; !errors.Is(err, ErrChanged) && !errors.Is(err, ErrDenied) {
			break
		}
	}
	if err == nil && granted {
		after.Request = nil
	}
	return after, done, err
}
