package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
)

// ErrSessionLost is returned when Consul says that a session is no more.
var ErrSessionLost = errors.New("consul session lost")

// CallTimeout bounds one call to Consul that does not block by design: some hang for 10 s after an election.
const CallTimeout = 3 * time.Second

// SessionOptions say what a session depends on.
type SessionOptions struct {
	Name          string
	TTL           time.Duration
	Check         string           // the id of a check on whose end the session ends too; empty: none
	CheckDeadline *RenewalDeadline // of that check
}

// session is one whose clock has not begun.
func (o SessionOptions) session(client *api.Client, id string) *Session {
	s := &Session{ID: id, client: client, ttl: o.TTL, deadline: &RenewalDeadline{}}
	s.Lease = Lease{s.deadline}
	if o.CheckDeadline != nil {
		s.Lease = append(s.Lease, o.CheckDeadline)
	}
	return s
}

// Session is a Consul session of ours. It has no node check: a gossip blip is no failover.
type Session struct {
	ID       string
	client   *api.Client
	ttl      time.Duration
	deadline *RenewalDeadline

	Lease Lease // of the session, and of the check that it is bound to
}

// NewSession creates a session.
func NewSession(ctx context.Context, client *api.Client, opt SessionOptions) (*Session, error) {
	type check struct{ ID string }
	body := struct {
		Name, TTL, Behavior, LockDelay string
		NodeChecks                     []string // an empty list: the Go API's own type cannot say so beside service checks
		ServiceChecks                  []check  `json:",omitempty"`
	}{opt.Name, opt.TTL.String(), api.SessionBehaviorRelease, "1ms", []string{}, nil}
	if opt.Check != "" {
		body.ServiceChecks = []check{{opt.Check}}
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	sent := time.Now()
	var out struct{ ID string }
	if _, err := client.Raw().Write("/v1/session/create", body, &out, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return nil, fmt.Errorf("create session %q: %w", opt.Name, err)
	}
	s := opt.session(client, out.ID)
	s.deadline.Extend(sent, opt.TTL)
	return s, nil
}

// Adopt takes a session over from a predecessor of this process, to be renewed and destroyed as one of our own. Nothing
// is known of its last renewal, so its lease begins with the next.
func Adopt(client *api.Client, id string, opt SessionOptions) *Session {
	return opt.session(client, id)
}

// Keep renews the session until the context ends (nil) or Consul says that it is gone (ErrSessionLost). A Consul that
// does not answer loses nothing: the session may well outlive its outage, so renewing goes on.
//
// A renewal each third of the TTL, with a deadline no longer than that third: two in a row may fail within a lease
// (TTL/3 + TTL/3 + TTL/3 = TTL), and Consul waits for twice the TTL before it ends a session.
func (s *Session) Keep(ctx context.Context, now <-chan struct{}, log *slog.Logger) error {
	every := s.ttl / 3
	wait, failing := every, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-now: // somebody doubts it
		case <-time.After(wait):
		}
		err := s.renew(ctx, min(every, CallTimeout))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrSessionLost):
			return err
		case err != nil:
			if !failing {
				log.Warn("the session cannot be renewed", "err", err, "lease_left", s.Lease.Left(time.Now()))
			}
			wait, failing = min(every, time.Second), true
		default:
			wait, failing = every, false
		}
	}
}

func (s *Session) renew(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent := time.Now()
	entry, _, err := s.client.Session().Renew(s.ID, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("renew session %s: %w", s.ID, err)
	}
	if entry == nil { // how the API says 404
		return fmt.Errorf("renew session %s: %w", s.ID, ErrSessionLost)
	}
	s.deadline.Extend(sent, s.ttl)
	return nil
}

// Destroy ends the session, and with it frees what it locks.
func (s *Session) Destroy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	if _, err := s.client.Session().Destroy(s.ID, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("destroy session %s: %w", s.ID, err)
	}
	return nil
}
