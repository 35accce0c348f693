package localredis

import "context"

// fenceReason is why the agent has fenced our Redis outside of a takeover.
type fenceReason string

const (
	fencedForStall fenceReason = "stall"      // this process did not run for long
	fencedForLease fenceReason = "lease end"  // the lease is over, and there is no guard
	fencedForLoss  fenceReason = "lock loss"  // the lock is another member's, and there is no guard
	fencedHeldOpen fenceReason = "held open"  // replicas that are no members keep the guard open
	fencedUnparked fenceReason = "not parked" // a master that must not take writes refuses to be parked
)

// FenceAfterLoss makes the server refuse writes because another member holds the lock. It stays fenced until a change unfences it
// whatever the reasons: SetGuard, RestoreSettings, Follow, ClearStallFence, or SetGuard of a takeover. Its errors are those of
// redis.Server.Fence. On an error the server may be fenced all the same.
func (r *Redis) FenceAfterLoss(ctx context.Context) error { return r.fence(ctx, fencedForLoss) }

// FenceHeldOpen makes the server refuse writes because replicas that are no members keep its guard open. It stays fenced until
// UnfenceHeldOpen, if no other reason is left, or until a change unfences it: see FenceAfterLoss.
func (r *Redis) FenceHeldOpen(ctx context.Context) error { return r.fence(ctx, fencedHeldOpen) }

// UnfenceHeldOpen ends FenceHeldOpen. It reports whether the server was unfenced.
func (r *Redis) UnfenceHeldOpen(ctx context.Context) (bool, error) {
	return r.unfence(ctx, fencedHeldOpen)
}

// fence makes the server refuse writes. It stays fenced until unfence has removed every reason, or a change unfences the server
// whatever the reasons: see FenceAfterLoss.
func (r *Redis) fence(ctx context.Context, why fenceReason) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return r.addFence(ctx, why)
}

// addFence is fence as a part of a change that has begun.
func (r *Redis) addFence(ctx context.Context, why fenceReason) error {
	r.fences[why] = struct{}{} // even if the answer is lost: it may have been done
	defer r.ProbeSoon()
	return r.server.Fence(ctx)
}

// fenceIfWritable is fence if the server is a master that is not fenced. It reports whether it fenced the server.
func (r *Redis) fenceIfWritable(ctx context.Context, why fenceReason) (bool, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	st, err := r.server.Status(ctx)
	if err != nil || !st.Master || st.Fenced() {
		return false, err
	}
	if err := r.addFence(ctx, why); err != nil {
		return false, err
	}
	return true, nil
}

// forgetFence removes a reason without a change of the server: it is another instance by now, or no master.
func (r *Redis) forgetFence(ctx context.Context, why fenceReason) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	delete(r.fences, why)
	return nil
}

// unfence removes a reason, and unfences the server if no other is left. It reports whether the server was unfenced.
func (r *Redis) unfence(ctx context.Context, why fenceReason) (bool, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	if _, is := r.fences[why]; !is {
		return false, nil
	}
	if len(r.fences) > 1 {
		delete(r.fences, why)
		return false, nil
	}
	if _, err := r.server.Unfence(ctx); err != nil {
		return false, err
	}
	delete(r.fences, why)
	r.ProbeSoon()
	return true, nil
}
