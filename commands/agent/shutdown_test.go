package agent

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/known"
	"resec/handlers/redis"
)

// All that a stop does before its last calls ends by one deadline, which begins when the stop is requested.
func TestShutdown_Budget(t *testing.T) {
	for _, tt := range []struct {
		name        string
		requested   bool
		after       time.Duration // since the request
		left, final time.Duration
	}{
		{"not requested", false, time.Second, shutdownBudget, finalCallTimeout},
		{"just requested", true, 0, shutdownBudget, shutdownBudget + finalCallTimeout},
		{"while it hands over", true, time.Second, shutdownBudget - time.Second, shutdownBudget + finalCallTimeout - time.Second},
		{"with less left than one call takes", true, shutdownBudget - minCallTimeout/2, minCallTimeout, finalCallTimeout + minCallTimeout/2},
		{"when the budget is over", true, shutdownBudget + time.Second, minCallTimeout, finalCallTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s shutdown
				if tt.requested {
					s.request()
				}
				ended, end := context.WithCancel(t.Context())
				end() // the agent's own context has ended then
				<-time.After(tt.after)
				ctx, cancel := s.context(ended)
				defer cancel()
				deadline, _ := ctx.Deadline()
				equal(t, "requested", s.requested(), tt.requested)
				equal(t, "left", time.Until(deadline), tt.left)
				equal(t, "of a last call", s.finalCallTimeout(), tt.final)
				if ctx.Err() != nil {
					t.Error(ctx.Err())
				}
			})
		})
	}
}

func TestRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		equal(t, "without a deadline", remaining(t.Context()), consulProbeTimeout)
		for left, want := range map[time.Duration]time.Duration{
			0: minCallTimeout, 100 * time.Millisecond: minCallTimeout, 700 * time.Millisecond: 700 * time.Millisecond, time.Minute: consulProbeTimeout} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			equal(t, fmt.Sprintf("with %s left", left), remaining(ctx), want)
			cancel()
		}
	})
}

func TestStopCause(t *testing.T) {
	equal(t, "it answers", stopCause(leading()), cluster.WhyLeaving)
	equal(t, "it is slow", stopCause(leading(failing(context.DeadlineExceeded))), cluster.WhyLeaving)
	equal(t, "it is down", stopCause(leading(failing(syscall.ECONNREFUSED))), cluster.WhyDead)
}

// failing makes our Redis's last probe fail.
func failing(err error) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) { k.Health.Err = err }
}

func TestGuardDiffers(t *testing.T) {
	k := leading(operators("run-me", 1, 10))
	for _, tt := range []struct {
		name string
		st   redis.Status
		want bool
	}{
		{"as the operator set it", redis.Status{RunID: "run-me", MinReplicas: 1, MaxLag: 10}, false},
		{"another number", redis.Status{RunID: "run-me", MinReplicas: 2, MaxLag: 10}, true},
		{"another lag", redis.Status{RunID: "run-me", MinReplicas: 1, MaxLag: 4}, true},
		{"another instance", redis.Status{RunID: "run-new", MinReplicas: 2, MaxLag: 10}, false},
	} {
		equal(t, tt.name, guardDiffers(k, tt.st), tt.want)
	}
}

// operators sets the operator's own settings, as they are known of an instance.
func operators(runID string, replicas, maxLag int) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) {
		k.Operator = cluster.OperatorSettings{RunID: runID, MinReplicas: cluster.MinReplicas{Replicas: replicas, MaxLag: maxLag}}
	}
}

func TestAwaitsSuccessor(t *testing.T) {
	c := newController(bareAgent())
	replica := redis.Status{RunID: "run-me", MasterAddr: "10.0.0.1:6379"}
	for _, tt := range []struct {
		name string
		k    known.Snapshot
		st   redis.Status
		want bool
	}{
		{"it follows the successor", situation(), replica, false},
		{"it is a master", situation(), redis.Status{Master: true}, true},
		{"it was a replica of that address and is a master", situation(), redis.Status{Master: true, MasterAddr: "10.0.0.1:6379"}, true},
		{"it follows another", situation(), redis.Status{MasterAddr: "10.0.0.2:6379"}, true},
		{"it is fenced", situation(), redis.Status{MasterAddr: replica.MasterAddr, MinReplicas: 2147483647}, true},
		{"no master is published", situation(clustertest.NoState), redis.Status{Master: true}, false},
		{"the lock is free", situation(clustertest.LockFree), redis.Status{Master: true}, false},
		{"the lock is ours", situation(clustertest.HoldingLock), redis.Status{Master: true}, false},
	} {
		equal(t, tt.name, c.awaitsSuccessor(tt.k, tt.st), tt.want)
	}
}
