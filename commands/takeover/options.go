package takeover

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// Takeover is what a takeover needs. Only Lock, Session, Log and the first four fields of Self are required: `elect` without an
// agent knows nothing else.
type Takeover struct {
	Lock     lock.Lock
	Session  *lock.Session // holds the lock
	Log      *slog.Logger
	Timeline *Timeline // nil: the times of the steps are not recorded

	// CatalogDemotion turns the other master entries of the catalogue into replica entries. nil: they stay.
	CatalogDemotion *CatalogDemotion

	Self     Self
	Peers    Peers
	Evidence Evidence
	Operator Operator
}

// Self is the member that becomes master.
type Self struct {
	Me      cluster.Master // as it will be published; RunID, Guard and MaxLag are filled in, Term is the highest known one
	Service string         // name of the master service, written into the state
	Redis   OwnRedis
	Creds   redis.Options // for the other members' Redis; Addr is filled in

	Guard             cluster.GuardPolicy
	OperatorGuard     cluster.MinReplicas // what the operator has configured on our Redis
	OperatorKnown     bool                // OperatorGuard is that of the present run
	UncountedReplicas int                 // replicas of our Redis that are not members: a challenger does not count them
	HandedOff         bool                // we transferred the lock to a successor that gave up and may have left a CLIENT PAUSE
}

// OwnRedis is our own server as a takeover changes it: a *redis.Server, or what serialises its changes.
type OwnRedis interface {
	Addr() string
	Status(ctx context.Context) (redis.Status, error)
	Promote(ctx context.Context) (redis.Status, error)
	SetGuard(ctx context.Context, replicas, maxLag int) error
	Park(ctx context.Context) error
	Follow(ctx context.Context, addr string) error
	Unpause(ctx context.Context) error
}

var _ OwnRedis = (*redis.Server)(nil)

// Peers are the other members. `elect` without an agent knows none and keeps no record of them.
type Peers struct {
	KeepMembers bool // the state's members are kept up to date
	Recorded    []RecordedPeer

	// ConfirmEligible checks again that our Redis may lead although it is not recorded as in sync. It is called before the
	// promotion, and only if that is the case. It returns an error if our Redis may not lead any more.
	ConfirmEligible func(context.Context, cluster.State) error

	// WaitForSlowUntil bounds the wait for members whose Redis is unreachable while their agent is alive: they may only be
	// slow, and may hold the newest data.
	WaitForSlowUntil time.Time

	// FailedSources counts, by run_id, how often our Redis could not catch up from a member: see SourceError.
	FailedSources map[string]int
}

// SourceError is returned if our Redis could not catch up from a member that has newer data and cannot lead.
type SourceError struct {
	RunID string // of the member's Redis
	Err   error
}

func (e *SourceError) Error() string { return e.Err.Error() }

func (e *SourceError) Unwrap() error { return e.Err }

// RecordedPeer is a member that the state records.
type RecordedPeer struct {
	ID, Address string
	Session     string // of its agent; empty: the agent is dead
}

// Evidence is what is known of the old master before it is asked.
type Evidence struct {
	CatalogMaster      *cluster.Master        // the master according to the catalogue; used if the state names none
	FollowsUnnamed     bool                   // the state names none, and nothing names the server that our Redis replicates from
	MasterCheckPassing bool                   // its check was passing a moment ago: clients are sent to its address
	UnresponsiveRun    string                 // run_id of a master that is known not to answer; empty: none is
	Detached           *cluster.DetachTracker // since when members are known to be detached from it; nil: nothing is known
	StallAllowance     time.Duration          // added to GuardCloseTime

	// ReadCatalog reads the catalogue's entries of the cluster, when a member does not answer where the state has it: it may have
	// another address. nil: the addresses in the state count.
	ReadCatalog func(context.Context) ([]handlers.Entry, error)
}

// Operator is what an operator has asked for. At most one of the two is set.
type Operator struct {
	ForcedFailover *cluster.Request // a promotion against the protocol
	Switchover     *cluster.Request // a promotion by the protocol
}

// OperatorWish returns what an operator has asked of the member with that id.
func OperatorWish(r *cluster.Request, id string) Operator {
	switch {
	case !r.Active() || r.To != id:
		return Operator{}
	case r.Planned:
		return Operator{Switchover: r}
	}
	return Operator{ForcedFailover: r}
}

// forced reports whether an operator overrides the protocol.
func (o Operator) forced() bool { return o.ForcedFailover != nil }

// requested reports whether an operator has asked for this promotion.
func (o Operator) requested() bool { return o.ForcedFailover != nil || o.Switchover != nil }
