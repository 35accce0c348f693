package follow

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers"
)

// handledKey identifies what one successful call of the handler settles: this event, for this instance of Redis.
type handledKey struct{ digest, runID string }

// keyOf returns the key of what the handler would be invoked for now. Its digest is empty if that is nothing.
func (f *Follower) keyOf(k snapshot) handledKey {
	if f.Replicate == nil {
		return handledKey{digest: k.digest + k.publishedAddr()}
	}
	_, digest, _ := selectMaster(k.entries, k.published(), f.Naming.Tag(catalog.Master))
	return handledKey{digest, k.runID}
}

// published returns the master that the state names; nil if it names none, or if there is no state any more.
func (k snapshot) published() *cluster.Master {
	if k.View.FromLastKnown && !k.View.WentBack {
		return nil
	}
	return k.View.State.Master
}

// publishedAddr returns the address of the master that the state names; empty if it names none. External handlers get it because
// any token with service:write can register a service.
func (k snapshot) publishedAddr() string {
	if m := k.published(); m != nil {
		return m.Address
	}
	return ""
}

// onEvent takes an answer of the service's watch. It returns an error for entries that cannot be read.
func (f *Follower) onEvent(index uint64, answer any) error {
	if answer == nil {
		answer = []*api.ServiceEntry{}
	}
	event, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the service entries: %w", err)
	}
	entries, err := handlers.ParseEntries(event)
	if err != nil {
		return err
	}
	digest := fullDigest(answer)
	f.known.Update(func(k *snapshot) { k.index, k.event, k.digest, k.entries = index, append(event, '\n'), digest, entries })
	return nil
}

// selectMaster returns which master the built-in handler makes Redis follow, and a digest of what that depends on: address, port,
// ID, term and run ID. The digest is empty if there is no master. If the state names a master, only its entry counts, because any
// token with service:write can register a service; for any other entry it returns handlers.ErrRefused.
func selectMaster(entries []handlers.Entry, published *cluster.Master, tag string) (to handlers.Target, digest string,
	err error) {
	m, ok := handlers.MasterOf(entries, tag)
	if !ok {
		return to, "", nil
	}
	if published != nil {
		ours := slices.DeleteFunc(slices.Clone(entries), func(e handlers.Entry) bool { return e.ID() != published.ID })
		if m, ok = handlers.MasterOf(ours, tag); !ok {
			err = fmt.Errorf("%w: the service names another master than the published one, %s", handlers.ErrRefused, published.ID)
			return to, err.Error(), err
		}
		to.RunID = published.RunID
	}
	to.Addr = m.Addr()
	return to, fmt.Sprintf("%s %q %d %s", m.Addr(), m.ID(), m.Term(), to.RunID), nil
}

// fullDigest returns what an external handler may act on: nodes, services and the status of checks. It leaves out the output of
// checks and the indexes, which change while nothing else does. It is never empty, because no entries are an event, too.
func fullDigest(answer any) string {
	entries, _ := answer.([]*api.ServiceEntry)
	out := []instance{}
	for _, e := range entries {
		if e.Service != nil && e.Node != nil {
			out = append(out, newInstance(e))
		}
	}
	data, _ := json.Marshal(out)
	return "=" + string(data)
}

// instance is what fullDigest keeps of an entry.
type instance struct {
	Node    string
	Addr    string
	Service *api.AgentService
	Checks  []string // ID=status
}

func newInstance(e *api.ServiceEntry) instance {
	s := *e.Service
	s.CreateIndex, s.ModifyIndex = 0, 0
	in := instance{Node: e.Node.Node, Addr: e.Node.Address, Service: &s}
	for _, c := range e.Checks {
		in.Checks = append(in.Checks, c.CheckID+"="+c.Status)
	}
	slices.Sort(in.Checks)
	return in
}
