package elect

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/handlers"
	"resec/scripts/lab"
)

// A new address of the node is written into the state while the lock is held. The term stays.
func TestKeepPublishedPlace(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("elect", nil)
	expect.OK(t, err)
	l := lock.Lock{Client: c.Client, Key: "elect/.lock", Member: "me"}
	s := consultest.Session(t, l.Client)
	m := consultest.Master("me", "run-me", 3)
	m.Node = "n"
	v := consultest.Acquire(t, l, s, "me", m)
	e := &Election{Lock: l, Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: m.Address}, Node: "n"},
		Log: slog.New(slog.DiscardHandler), known: observable.New[snapshot]()}
	e.observer = &observe.Observer{Lock: l, Log: e.Log, Update: func(change func(*observe.Snapshot)) {
		e.known.Update(func(k *snapshot) { change(&k.Snapshot) })
	}}
	e.known.Update(func(k *snapshot) { k.View, k.Fresh, k.session = v, true, s })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() { e.keepPublished(ctx, s, nil) })
	e.known.Update(func(k *snapshot) { k.place = cluster.Place{Node: "o", Address: "10.0.0.9:6379"} })
	lab.Eventually(t, expect.Patience, func() error {
		now, err := l.Read(t.Context())
		if err != nil {
			return err
		}
		if is := now.State.Master; is.Address != "10.0.0.9:6379" || is.Node != "o" || is.Term != 3 || is.RunID != "run-me" {
			err = fmt.Errorf("the state has %+v", is)
		}
		return err
	})
	cancel()
	done.Wait()
	expect.Equal(t, "it is published there", e.me().Address, "10.0.0.9:6379")
}
