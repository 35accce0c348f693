package handlers

import (
	"context"
	"errors"
	"fmt"

	"resec/handlers/redis"
)

// Promote makes the server a master that accepts writes. It returns an error if a step was not confirmed; then the server may
// be fenced, unless it refused to be promoted.
func Promote(ctx context.Context, s *redis.Server) (Result, error) {
	before, err := s.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	if before.Master && !before.Fenced() { // redis.Promote would fence it for a moment
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

// Fence makes the server refuse writes. It returns an error if the server did not confirm.
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

// ErrRefused is returned if following would lose data, or the target is no master. A retry fails until one of the servers
// changes.
var ErrRefused = errors.New("refused")

// ErrNotMaster is an ErrRefused: the target is not, or not in that instance, a master now. A takeover may be under way.
var ErrNotMaster error = notMaster{}

// notMaster has the text of ErrRefused.
type notMaster struct{}

func (notMaster) Error() string { return ErrRefused.Error() }

func (notMaster) Is(target error) bool { return target == ErrRefused }

// ErrOwnAddress is returned if the server that is to follow answers itself at the master's address, and is not that master. The
// master's announced address is wrong, as seen from this host.
var ErrOwnAddress = errors.New("our own redis answers at the master's address; correct ANNOUNCE_ADDR or REDIS_ADDR of the master")

// Target is the master to follow.
type Target struct {
	Addr  string // host:port
	RunID string // of the instance; empty: any instance
	Force bool   // an operator forces it, although following may delete data

	Confirm func(context.Context) error // called right before the change, which an error prevents; nil: none
}

// Replicate makes the server follow the target, after it has verified the target's status with the options given. It does
// nothing if the target is this server itself, whatever its address. It returns ErrOwnAddress if this server answers in place of
// the target, and ErrRefused if the target is no master, is another instance, or would delete data. It returns the error of
// Target.Confirm, and one if a server did not confirm.
func Replicate(ctx context.Context, s *redis.Server, to Target, opt redis.Options) (Result, error) {
	own, err := s.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	master, err := Probe(ctx, opt.At(to.Addr))
	if err != nil {
		return Result{}, fmt.Errorf("verify the master to follow: %w", err)
	}
	if master.RunID == own.RunID && to.RunID != "" && to.RunID != own.RunID {
		return Result{}, fmt.Errorf("follow %s: %w", to.Addr, ErrOwnAddress)
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
		return Result{}, fmt.Errorf("follow %s: %w: it is another instance than the published one", to.Addr, ErrNotMaster)
	}
	if err := MayFollow(own, master, to.Force); err != nil {
		return Result{}, fmt.Errorf("follow %s: %w", to.Addr, err)
	}
	changed := own.MasterAddr != to.Addr
	if changed {
		err = s.Follow(ctx, to.Addr)
	}
	if err != nil {
		return Result{}, err
	}
	if own.Master {
		err = CleanUpFormerMaster(ctx, s)
	} else {
		_, err = s.Unfence(ctx)
	}
	return result("replicate", s, redis.Status{RunID: own.RunID, MasterAddr: to.Addr}, changed), err
}

// CleanUpFormerMaster unfences a former master, ends its pause, and closes the connections of its clients, so that they look for
// the new master. It returns the errors of the steps that failed.
func CleanUpFormerMaster(ctx context.Context, s *redis.Server) error {
	_, errUnfence := s.Unfence(ctx)
	errUnpause := s.Unpause(ctx)
	_, errDisconnect := s.Disconnect(ctx)
	return errors.Join(errUnfence, errUnpause, errDisconnect)
}

// MayFollow returns ErrRefused if own must not follow master. An empty master is followed by a server with data only if its
// history contains ours: then a command emptied it, not a restart. A server that the first write would end is refused, too. A
// master whose full sync own cannot read, because its version is too new, is followed only while own needs no full sync: it would
// delete its data, fail, and try again at once.
func MayFollow(own, master redis.Status, force bool) error {
	if !master.Master {
		return fmt.Errorf("%w: it is a replica of %s", ErrNotMaster, master.MasterAddr)
	}
	if own.WriteEndsReplica && !force {
		return fmt.Errorf("%w: the first write would end the replica: %s", ErrRefused, own.Refusing())
	}
	deletes := master.Keys == 0 && own.Keys > 0
	if deletes && !force && !own.Position.IsAncestorOf(master.Position) {
		return fmt.Errorf("%w: it is empty, and would wipe %d keys here", ErrRefused, own.Keys)
	}
	if redis.CannotLoad(own.Version, master.Version) && !force && !own.CanResync(master) {
		return fmt.Errorf("%w: redis %s cannot read a full sync of redis %s, and would delete its data first; upgrade it",
			ErrRefused, own.Version, master.Version)
	}
	return nil
}

// Probe opens a server, reads its status and closes it. It returns an error if the server has no status.
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
