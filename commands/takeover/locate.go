package takeover

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// listed is what the catalogue lists. It is read once, when a member does not answer where it was.
type listed struct {
	once    sync.Once
	entries []handlers.Entry
	err     error
}

// locateOldMaster returns the view with the published master at the address where it is now. looked is the error of the look at
// that address; nil if it was not looked at. If the master was reported by its own agent, nothing is asked.
func (p *run) locateOldMaster(ctx context.Context, v cluster.View, own redis.Status) (_ cluster.View, looked, err error) {
	m := v.State.Master
	if m == nil || m.RunID == own.RunID || v.State.MasterReportedGone(m.ID) {
		return v, nil, nil
	}
	down := false // what is known not to answer is silent
	if mayBeServing(v.State, own.RunID, p.Evidence.UnresponsiveRun, p.Operator.forced()) {
		var st redis.Status
		if st, looked = p.look(ctx, m.Address); looked == nil && (st.RunID == m.RunID || m.RunID == "") {
			return v, nil, nil
		}
		if looked == nil {
			looked = p.checkMember(v, m.ID, st)
		}
		down = looked == nil || notThere(looked)
	}
	addr, err := p.addressNow(ctx, v, cluster.MemberRecord{RunID: m.RunID, Address: m.Address}, m.ID, down)
	if err != nil || addr == m.Address {
		return v, looked, err
	}
	p.Log.Warn("the old master does not answer at the published address, and the catalogue has another one; it is asked there",
		"event", "old_master_moved", "master", m.ID, "addr", addr, "was", m.Address)
	p.formerAddr = m.Address
	moved := *m
	moved.Address = addr
	v.State.Master = &moved
	_, looked = p.look(ctx, addr)
	return v, looked, nil
}

// notThere reports whether an error at a member's address says that the member's Redis is not at that address.
func notThere(err error) bool { return cluster.Down(err) || errors.Is(err, cluster.ErrWrongAddress) }

// addressNow returns the address at which a member is now, which does not answer at that of r. That is another address in the
// catalogue at which the instance of r answers. If the member is not at its address, it is the one at which its check passes: a
// refusal at an address of the past proves nothing. One at which another member's Redis answers, or our own, does not count.
// Otherwise it is that of r. It returns an error if the catalogue cannot be read, or if this host is too exhausted to look.
func (p *run) addressNow(ctx context.Context, v cluster.View, r cluster.MemberRecord, id string, down bool) (string, error) {
	if p.Evidence.ReadCatalog == nil {
		return r.Address, nil
	}
	p.listed.once.Do(func() { p.listed.entries, p.listed.err = p.Evidence.ReadCatalog(ctx) })
	if err := p.listed.err; err != nil {
		return "", fmt.Errorf("find out whether %s has another address: %w", id, err)
	}
	now := r.Address
	all := append(cluster.ListedAddresses(p.listed.entries, id), cluster.Listed{Address: v.LiveAgents[id].Address})
	for _, l := range all {
		if l.Address == r.Address || l.Address == "" {
			continue
		}
		st, err := p.look(ctx, l.Address)
		if redis.Exhausted(err) {
			return "", fmt.Errorf("ask for %s at %s: %w", id, l.Address, err)
		}
		if err == nil && st.RunID == r.RunID {
			return l.Address, nil
		}
		others := err == nil && errors.Is(p.checkMember(v, id, st), cluster.ErrWrongAddress)
		if down && l.Passing && !others && now == r.Address {
			now = l.Address
		}
	}
	return now, nil
}

// parkMoved parks a member that is not at its address and listed at another one. If this host is too exhausted to look there,
// that is the member's error: its Redis may be alive.
func (p *run) parkMoved(ctx context.Context, v cluster.View, m *parkedPeer) {
	if !notThere(m.err) || v.State.Master == nil || v.State.MasterReportedGone(v.State.Master.ID) {
		return
	}
	addr, err := p.addressNow(ctx, v, cluster.MemberRecord{RunID: v.State.Members[m.ID].RunID, Address: m.Address}, m.ID, true)
	if redis.Exhausted(err) {
		m.err = err
	}
	if err != nil || addr == m.Address {
		return
	}
	m.close()
	m.Address = addr
	m.err = p.parkPeer(ctx, v, m)
}
