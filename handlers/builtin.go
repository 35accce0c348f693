package handlers

import (
	"context"
	"errors"
	"fmt"

	"resec/handlers/redis"
)

// Promote makes the server a master that accepts writes.
func Promote(ctx context.Context, s *redis.Server) (Result, error) {
	before, err := s.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	if before.Master && !before.Fenced() { // not even for a moment is it fenced
		return result("promote", s, before, false), nil
	}
	st, err := s.Promote(ctx)
	if err != nil {
		return Result{}, err
	}
	if _, err := s.Unfence(ctx); err != nil {
		return Result{}, err
	}
	return result("promote", s, st, true), nil
}

// Fence makes the server refuse writes.
func Fence(ctx context.Context, s *redis.Server) (Result, error) {
	before, err := s.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := s.Fence(ctx); err != nil {
		return Result{}, err
	}
	return result("fence", s, before, !before.Fenced()), nil
}

// ErrRefused is returned when following would lose data or make no sense; trying again helps only once things change.
var ErrRefused = errors.New("refused")

// Target is a master to follow.
type Target struct {
	Addr  string // host:port
	RunID string // empty: any
	Force bool   // an operator wants it, whatever following wipes

	Confirm func(context.Context) error // asked right before; nil: nobody is
}

// Replicate makes the server follow the target, which is asked first, with the credentials given: it must be a master,
// the run that is wanted, and not this very server, whatever the address says.
func Replicate(ctx context.Context, s *redis.Server, to Target, creds redis.Options) (Result, error) {
	own, err := s.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	creds.Addr = to.Addr
	master, err := Probe(ctx, creds)
	if err != nil {
		return Result{}, fmt.Errorf("verify the master to follow: %w", err)
	}
	if master.RunID == own.RunID {
		r := result("replicate", s, own, false)
		r.Reason = "it is the master itself"
		return r, nil
	}
	if to.Confirm != nil {
		if err := to.Confirm(ctx); err != nil {
			return Result{}, err
		}
	}
	if to.RunID != "" && master.RunID != to.RunID {
		return Result{}, fmt.Errorf("follow %s: %w: it is another run than the published one", to.Addr, ErrRefused)
	}
	if err := MayFollow(own, master, to.Force); err != nil {
		return Result{}, fmt.Errorf("follow %s: %w", to.Addr, err)
	}
	changed := own.MasterAddr != to.Addr
	if changed {
		if err := s.Follow(ctx, to.Addr); err != nil {
			return Result{}, err
		}
	}
	if own.Master {
		err = CleanUpFormerMaster(ctx, s)
	} else {
		_, err = s.Unfence(ctx)
	}
	return result("replicate", s, redis.Status{RunID: own.RunID, MasterAddr: to.Addr}, changed), err
}

// CleanUpFormerMaster ends what stood on a former master: a fence, a pause, and the connections of clients that want a master.
func CleanUpFormerMaster(ctx context.Context, s *redis.Server) error {
	_, lift := s.Unfence(ctx)
	unpause := s.Unpause(ctx)
	_, kill := s.Disconnect(ctx)
	return errors.Join(lift, unpause, kill)
}

// MayFollow decides by what the two servers say of themselves. An empty master is followed where its history goes on
// from ours: then it was emptied by a command, and not by a restart.
func MayFollow(own, master redis.Status, force bool) error {
	switch {
	case !master.Master:
		return fmt.Errorf("%w: it is a replica of %s", ErrRefused, master.MasterAddr)
	case master.Keys == 0 && own.Keys > 0 && !force && !own.Position.IsAncestorOf(master.Position):
		return fmt.Errorf("%w: it is empty, and would wipe %d keys here", ErrRefused, own.Keys)
	}
	return nil
}

// Probe opens a server for one look at it.
func Probe(ctx context.Context, opt redis.Options) (redis.Status, error) {
	s, err := redis.Open(ctx, opt)
	if err != nil {
		return redis.Status{}, err
	}
	defer s.Close()
	return s.Status(ctx)
}

func result(handler string, s *redis.Server, st redis.Status, changed bool) Result {
	r := Result{Handler: handler, Redis: s.Addr(), RunID: st.RunID, Role: "replica", Master: st.MasterAddr, Changed: changed}
	if st.Master {
		r.Role = "master"
	}
	return r
}
