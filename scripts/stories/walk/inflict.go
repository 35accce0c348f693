package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"resec/scripts/lab"
)

// errNothing is why a fault comes to nothing.
type errNothing struct{ error }

// inflict does a fault, and undoes it later, when the channel is closed; nil if it can not be done.
func (r *round) inflict(ctx context.Context, f Fault) (undone <-chan struct{}) {
	h := r.aim(f)
	on := r.things(h)
	if !r.begin(h, on) {
		return nil
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := r.do(h)
		if err == nil {
			wait(ctx, f.For)
		}
		r.over(h)
		if err == nil {
			err = r.undo(h)
		}
		if nothing := (errNothing{}); errors.As(err, &nothing) {
			r.end(h, on, err, nil)
		} else {
			r.end(h, on, nil, err)
		}
	}()
	return over
}

// do does it.
func (r *round) do(h *Harm) error {
	if h.is(foreign) {
		return r.write(h)
	}
	if h.Member == nobody {
		for _, s := range h.Server {
			harm(h.Kind == ServerFrozen, r.k.Servers[s].Process)
		}
		return nil
	}
	redis := r.k.Redis[h.Member]
	switch h.Kind {
	case RedisKilled, RedisFrozen:
		harm(h.Kind == RedisFrozen, redis.Process)
	case RedisWiped:
		redis.Kill()
		return errors.Join(os.RemoveAll(redis.Dir), os.MkdirAll(redis.Dir, 0o755))
	case Crashed, HostFrozen:
		harm(h.Kind == HostFrozen, r.k.Processes(h.Member)...)
	case AgentKilled:
		r.k.Agents[h.Member].Kill()
	case AgentLeft:
		return left(r.k.Agents[h.Member])
	case ClientKilled:
		r.k.Clients[h.Member].Kill()
	case ClientLeft:
		if _, err := r.k.Clients[h.Member].Stop(syscall.SIGTERM); err != nil { // cut off it takes long to leave
			r.k.Clients[h.Member].Kill()
		}
	case ConsulLink, MemberLink, Isolated:
		for _, peer := range r.peers(h) {
			cut := r.k.Net.Cut
			if h.OneWay {
				cut = r.k.Net.CutOneWay
			}
			if err := cut(r.k.Hosts[h.Member], peer, h.How); err != nil {
				return err
			}
		}
	case Switchover:
		return r.said("switchover", "-to", fmt.Sprint("m", h.Member), "-timeout", "5s")
	case Paused:
		return r.said("pause", "-for", "30s")
	case SessionDestroyed:
		if err := r.k.EndSession(h.Member); err != nil {
			return errNothing{err}
		}
	case LinksKilled:
		return done(redis, "CLIENT", "KILL", "TYPE", "master")
	case ByHand:
		host, port, _ := net.SplitHostPort("127.0.0.1:1")
		if h.Other != nobody {
			host, port, _ = net.SplitHostPort(r.k.Redis[h.Other].Addr)
		}
		return done(redis, "REPLICAOF", host, port)
	}
	return nil
}

// write does what somebody else does to Consul. Whatever Consul refuses comes to nothing.
func (r *round) write(h *Harm) (err error) {
	switch h.Kind {
	case ConsulRestored:
		err = r.k.Consul.Restored(r.past)
	case Maintained:
		err = r.k.Maintain(h.Member, "the walk looks after it")
	case Overwritten:
		err = r.k.Overwrite(h.Member)
	}
	if err != nil {
		return errNothing{err}
	}
	return nil
}

// undo undoes the fault.
func (r *round) undo(h *Harm) error {
	for _, s := range h.Server {
		if err := revive(r.k.Servers[s].Process); err != nil {
			return err
		}
	}
	switch h.Kind {
	case RedisKilled, RedisWiped, RedisFrozen:
		return revive(r.k.Redis[h.Member].Process)
	case Crashed:
		return r.k.Boot(h.Member)
	case HostFrozen:
		return revive(r.k.Processes(h.Member)...)
	case AgentKilled, AgentLeft:
		return awake(r.k.Agents[h.Member])
	case ClientKilled, ClientLeft:
		return revive(r.k.Clients[h.Member].Process)
	case Maintained: // Consul may be away
		return lab.Until(context.Background(), 20*time.Second, func() error { return r.k.Maintain(h.Member, "") })
	case Paused:
		return lab.Until(context.Background(), 20*time.Second, func() error { return r.said("resume") }) // Consul may be away
	case ConsulLink, MemberLink, Isolated:
		for _, peer := range r.peers(h) {
			if err := r.k.Net.Heal(r.k.Hosts[h.Member], peer); err != nil {
				return err
			}
		}
	}
	return nil
}

// said runs a subcommand; one that could not be done is a fault that came to nothing.
func (r *round) said(args ...string) error {
	_, stderr, code, err := r.k.Run(0, "", args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("resec %s: exit %d: %s", args[0], code, stderr)
	}
	if err != nil {
		return errNothing{err}
	}
	return nil
}

// harm freezes processes, or kills them, all at once.
func harm(freeze bool, ps ...*lab.Process) {
	var all sync.WaitGroup
	for _, p := range ps {
		if freeze {
			p.Freeze()
		} else {
			all.Go(p.Kill)
		}
	}
	all.Wait()
}

// revive thaws processes, or starts them again.
func revive(ps ...*lab.Process) error {
	for _, p := range ps {
		if p.Running() {
			p.Thaw()
		} else if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// awake makes an agent run again, and waits until it has begun to: before, nothing catches a signal, and it would not leave,
// but die.
func awake(p *lab.Process) error {
	runs, was := p.Running(), len(p.Output())
	if err := revive(p); err != nil || runs {
		return err
	}
	return lab.Until(context.Background(), 5*time.Second, func() error {
		if len(p.Output()) == was {
			return fmt.Errorf("%s has not begun", p.Name)
		}
		return nil
	})
}

// left stops an agent, which must exit with code 0.
func left(p *lab.Process) error {
	code, err := p.Stop(syscall.SIGTERM)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s left with %d", p.Name, code)
	}
	return err
}

// done runs a command on Redis; if that refuses it, the fault has no effect.
func done(r *lab.Redis, args ...string) error {
	if _, err := r.Do(args...); err != nil {
		return errNothing{err}
	}
	return nil
}

// wait waits, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
