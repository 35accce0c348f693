package agent

import (
	"context"
	"errors"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
)

// advertise makes the catalogue show what this member is. term is the term in which our Redis is master, 0 if it is not.
func (a *Agent) advertise(k snapshot, term uint64) {
	if !k.Probed || !k.Fresh {
		return
	}
	e := catalog.EntryOf(k.Snapshot, term, a.Me.ID)
	a.setAdvertised(e)
	a.Registrar.Set(e)
}

// setAdvertised notes what is shown of this member, for systemd and for a state dump.
func (a *Agent) setAdvertised(e catalog.Entry) {
	if was := a.advertised.Load(); was.Role != e.Role || was.Status != e.Status || was.Output != e.Output {
		a.advertised.Update(func(now *catalog.Entry) { *now = e })
	}
}

// confirmMaster returns nil if a master's entry may still be registered: another member may be listed by now. It returns
// errNotHolder if another member is the master, and the error of Consul's servers if they do not answer.
func (a *Agent) confirmMaster(ctx context.Context, e catalog.Entry) error {
	if e.Role != catalog.Master {
		return nil
	}
	v, err := a.observer.Read(ctx)
	var status api.StatusError
	if errors.As(err, &status) { // a Consul agent without servers: it tells no other agent until it has them
		return nil
	}
	if err != nil {
		return err
	}
	if m := v.State.Master; !v.Free() && v.Holder != a.Me.ID || m != nil && m.ID != a.Me.ID {
		return errNotHolder
	}
	return nil
}
