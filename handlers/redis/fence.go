package redis

import (
	"context"
	"math"
	"strconv"
)

// A fence is min-replicas-to-write so high that no number of replicas satisfies it. The value that it replaced is encoded in it,
// as the distance from the maximum. So any process can unfence the server, even if the one that fenced it is down.
const (
	maxFence        = math.MaxInt32
	fenceableValues = 1024 // values below this one survive a fence
	defaultMaxLag   = "10" // seconds, Redis's own default of min-replicas-max-lag
)

// fenced reports whether min-replicas-to-write is a fence.
func fenced(minReplicas int) bool { return minReplicas > maxFence-fenceableValues }

// fenceOver is the fence that replaces a value of min-replicas-to-write.
func fenceOver(minReplicas int) int { return maxFence - min(max(minReplicas, 0), fenceableValues-1) }

// underFence is the value that a fence replaced.
func underFence(minReplicas int) int { return maxFence - minReplicas }

// MinReplicasUnfenced is min-replicas-to-write, or the value that a fence replaced.
func (s Status) MinReplicasUnfenced() int {
	if s.Fenced() {
		return underFence(s.MinReplicas)
	}
	return s.MinReplicas
}

// Fence makes the server refuse writes now; reads continue. It does nothing to a server that is fenced. It returns an error
// if the server did not confirm the fence.
func (s *Server) Fence(ctx context.Context) error {
	_, changed, err := s.fence(ctx)
	if changed {
		s.opt.counters().Fenced()
	}
	return err
}

// fence returns the status before, and reports whether it fenced the server, which was not fenced then.
func (s *Server) fence(ctx context.Context) (was Status, changed bool, err error) {
	was, err = s.Status(ctx)
	if err != nil || was.Fenced() {
		return was, false, err
	}
	_, err = s.do(ctx, fenceCommands(was)...)
	return was, err == nil, err
}

// fenceCommands fence a server with that status. With min-replicas-max-lag 0 Redis ignores min-replicas-to-write.
func fenceCommands(st Status) [][]string {
	if st.MaxLag != 0 {
		return [][]string{setMinReplicas(fenceOver(st.MinReplicas))}
	}
	return [][]string{setMinReplicas(fenceOver(0)), {"CONFIG", "SET", "min-replicas-max-lag", defaultMaxLag}}
}

func setMinReplicas(n int) []string {
	return []string{"CONFIG", "SET", "min-replicas-to-write", strconv.Itoa(n)}
}

// Unfence unfences the server: min-replicas-to-write gets the value that the fence replaced. It reports whether there was a
// fence. It returns an error if the server did not confirm.
func (s *Server) Unfence(ctx context.Context) (bool, error) {
	st, err := s.Status(ctx)
	if err != nil || !st.Fenced() {
		return false, err
	}
	_, err = s.do(ctx, setMinReplicas(st.MinReplicasUnfenced()))
	return err == nil, err
}

// SetGuard sets min-replicas-to-write, and min-replicas-max-lag in seconds. It unfences the server. It returns an error if the
// server did not confirm.
func (s *Server) SetGuard(ctx context.Context, replicas, lag int) error {
	_, err := s.do(ctx, []string{"CONFIG", "SET", "min-replicas-max-lag", strconv.Itoa(lag)}, setMinReplicas(replicas))
	return err
}
