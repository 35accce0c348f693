package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/pace"
)

// ErrSessionLost is returned when Consul says that a session does not exist any more.
var ErrSessionLost = errors.New("consul session lost")

// ErrSessionDropped is returned when a session is given up because what it holds could not be released.
var ErrSessionDropped = errors.New("consul session given up")

// SessionOptions say what a session depends on.
type SessionOptions struct {
	Name          string
	TTL           time.Duration
	Check         string           // the ID of a check: if it turns critical, Consul ends the session; empty: none
	CheckDeadline *RenewalDeadline // of that check
}

// session returns a session whose lease has not begun.
func (o SessionOptions) session(client *api.Client, id string) *Session {
	s := &Session{ID: id, client: client, ttl: o.TTL, deadline: &RenewalDeadline{}}
	s.Lease = Lease{s.deadline}
	if o.CheckDeadline != nil {
		s.Lease = append(s.Lease, o.CheckDeadline)
	}
	return s
}

// Session is a Consul session of ours. It does not depend on the node's health check, so that a fault of gossip causes no
// failover.
type Session struct {
	ID       string
	client   *api.Client
	ttl      time.Duration
	deadline *RenewalDeadline

	Lease Lease // of the session, and of the check that it depends on
}

// NewSession creates a session. It returns an error if Consul does not answer, or rejects it; unless Consul answered, a session
// may exist that ends with its TTL.
func NewSession(ctx context.Context, client *api.Client, opt SessionOptions) (*Session, error) {
	type check struct{ ID string }
	body := struct {
		Name, TTL, Behavior, LockDelay string
		NodeChecks                     []string // an empty list, which the Go API's own type cannot express next to service checks
		ServiceChecks                  []check  `json:",omitempty"`
	}{opt.Name, opt.TTL.String(), api.SessionBehaviorRelease, "1ms", []string{}, nil}
	if opt.Check != "" {
		body.ServiceChecks = []check{{opt.Check}}
	}
	ctx, end := pace.Begin(ctx)
	sent := time.Now()
	var out struct{ ID string }
	_, err := client.Raw().Write("/v1/session/create", body, &out, (&api.WriteOptions{}).WithContext(ctx))
	if end(err); err != nil {
		if nodeUnknown(err) {
			err = fmt.Errorf("%w; a member works in the datacenter of its consul agent alone", err)
		}
		return nil, fmt.Errorf("create session %q: %w", opt.Name, err)
	}
	s := opt.session(client, out.ID)
	s.deadline.Extend(sent, opt.TTL)
	return s, nil
}

// nodeUnknown reports whether err says that Consul does not know the node of a session: for example, its agent is in another
// datacenter.
func nodeUnknown(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Missing node registration")
}

// Adopt takes over a session that a predecessor of this process created, to be renewed and destroyed as one of our own. The
// time of its last renewal is unknown, so its lease begins with the next one.
func Adopt(client *api.Client, id string, opt SessionOptions) *Session {
	return opt.session(client, id)
}

// maxRenewRetry bounds the pause after a renewal that failed.
const maxRenewRetry = time.Second

// Keep renews the session until the context ends, and then returns nil; a receive from now renews it at once. It returns
// ErrSessionLost when Consul says that the session does not exist any more. While Consul does not answer it keeps trying,
// because the session may outlive the outage.
//
// It returns ErrSessionDropped once drop receives its ID.
//
// It renews each third of the TTL, and waits for an answer for at most that third. So two renewals in a row may fail within a
// lease (TTL/3 + TTL/3 + TTL/3 = TTL), and Consul waits for twice the TTL before it ends a session. A renewal whose answer is
// late is not given up: Consul has most likely carried it out. The next one is sent meanwhile, and the lease counts from the
// renewal that is answered.
func (s *Session) Keep(ctx context.Context, now <-chan struct{}, drop <-chan string, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer cancel()
	answers := make(chan renewal)
	every := s.ttl / 3
	next, failing := time.Now().Add(every), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case late := <-answers:
			if errors.Is(late.err, ErrSessionLost) {
				return late.err
			}
			continue
		case id := <-drop:
			if id == s.ID {
				return ErrSessionDropped
			}
			continue
		case <-now:
		case <-time.After(time.Until(next)):
		}
		sent := time.Now()
		err := s.renewAndWait(ctx, &renewing, answers, min(every, pace.CallTimeout))
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrSessionLost) {
			return err
		}
		if err == nil {
			next, failing = sent.Add(every), false
			continue
		}
		if !failing {
			log.Warn("cannot renew the consul session, retrying", "event", "session_renew_failed", "session", s.ID,
				"lease_left", s.Lease.Left(time.Now()), "err", err)
		}
		next, failing = time.Now().Add(min(every, maxRenewRetry)), true
	}
}

// errLate says that Consul has not answered a renewal in time.
var errLate = errors.New("consul has not answered yet")

// renewal is the answer to one renewal.
type renewal struct {
	sent time.Time
	err  error
}

// renewAndWait begins a renewal, and returns its error. It returns errLate if that is not answered in time; the answer then comes
// later. It also returns ErrSessionLost if that is the late answer to an earlier one. A renewal without an answer within the
// session's TTL ends.
func (s *Session) renewAndWait(ctx context.Context, renewing *sync.WaitGroup, answers chan renewal, timeout time.Duration) error {
	sent := time.Now()
	renewing.Go(func() {
		err := s.renew(ctx, s.ttl)
		select {
		case answers <- renewal{sent, err}:
		case <-ctx.Done():
		}
	})
	end := time.After(timeout)
	for {
		select {
		case a := <-answers:
			if a.sent.Equal(sent) || errors.Is(a.err, ErrSessionLost) {
				return a.err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return fmt.Errorf("renew session %s: %w", s.ID, errLate)
		}
	}
}

// renew renews the session once. It returns ErrSessionLost if Consul does not know the session.
func (s *Session) renew(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent := time.Now()
	entry, _, err := s.client.Session().Renew(s.ID, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("renew session %s: %w", s.ID, err)
	}
	if entry == nil { // the API's form of 404
		return fmt.Errorf("renew session %s: %w", s.ID, ErrSessionLost)
	}
	s.deadline.Extend(sent, s.ttl)
	return nil
}

// Destroy ends the session, which frees the lock. It returns an error if Consul does not answer or denies it; the session then
// ends with its TTL.
func (s *Session) Destroy(ctx context.Context) error {
	ctx, end := pace.Begin(ctx)
	_, err := s.client.Session().Destroy(s.ID, (&api.WriteOptions{}).WithContext(ctx))
	if end(err); err != nil {
		return fmt.Errorf("destroy session %s: %w", s.ID, err)
	}
	return nil
}
