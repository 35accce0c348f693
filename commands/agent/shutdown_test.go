package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/pace"
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
		{"with less left than one call takes", true, shutdownBudget - minCallTimeout/2, minCallTimeout,
			finalCallTimeout + minCallTimeout/2},
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
				expect.Equal(t, "requested", s.requested(), tt.requested)
				expect.Equal(t, "left", time.Until(deadline), tt.left)
				expect.Equal(t, "of a last call", s.finalCallTimeout(), tt.final)
				if ctx.Err() != nil {
					t.Error(ctx.Err())
				}
			})
		})
	}
}

func TestRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect.Equal(t, "without a deadline", remaining(t.Context()), consulProbeTimeout)
		for left, want := range map[time.Duration]time.Duration{
			0: minCallTimeout, 100 * time.Millisecond: minCallTimeout, 700 * time.Millisecond: 700 * time.Millisecond,
			time.Minute: consulProbeTimeout} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			expect.Equal(t, fmt.Sprintf("with %s left", left), remaining(ctx), want)
			cancel()
		}
	})
}

func TestStopCause(t *testing.T) {
	expect.Equal(t, "it answers", stopCause(leading()), cluster.WhyLeaving)
	expect.Equal(t, "it is slow", stopCause(leading(failing(context.DeadlineExceeded))), cluster.WhyLeaving)
	expect.Equal(t, "it is down", stopCause(leading(failing(syscall.ECONNREFUSED))), cluster.WhyDead)
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
		expect.Equal(t, tt.name, guardDiffers(k, tt.st), tt.want)
	}
}

// operators sets the operator's own settings, as they are known of an instance.
func operators(runID string, replicas, maxLag int) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) {
		k.Operator = cluster.OperatorSettings{RunID: runID, MinReplicas: cluster.MinReplicas{Replicas: replicas, MaxLag: maxLag}}
	}
}

// Why a holder releases the lock is written only if that holder was published.
func TestRelease(t *testing.T) {
	t.Parallel()
	published := master("me", "run-me", 1)
	for _, tt := range []struct {
		name   string
		m      *cluster.Master
		known  bool // the view that is known is the newest
		want   string
		answer bool // an operator wants us as master
	}{
		{"published", published, true, cluster.WhyDead, false},
		{"published, and the view is old", published, false, cluster.WhyDead, false},
		{"not published", master("b", "run-b", 1), true, "", false},
		{"none is published", nil, true, "", false},
		{"an operator wants us", published, true, cluster.WhyDead, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := onConsul(t)
			s := session(t, a)
			v := acquire(t, a, s, "me", tt.m)
			if tt.answer {
				end, err := a.Lock.CreateRequest(t.Context(), cluster.Request{To: "me"})
				expect.OK(t, err)
				defer func() { expect.OK(t, end(t.Context())) }()
				v, err = a.Lock.Read(t.Context())
				expect.OK(t, err)
			}
			if !tt.known {
				v.State.Master, v.StateIndex = nil, 1
			}
			a.known.Update(func(k *known.Snapshot) { k.View, k.Fresh = v, true })
			a.release(t.Context(), pace.CallTimeout, s.ID, cluster.WhyDead, "it is down")
			v, err := a.Lock.Read(t.Context())
			expect.OK(t, err)
			expect.Equal(t, "free", v.Free(), true)
			expect.Equal(t, "why", v.State.Why, tt.want)
			expect.Equal(t, "known to be free", a.known.Load().View.Free(), true)
			expect.Equal(t, "the request is answered", v.Answered != nil && v.Answered.Answer == "it is down", tt.answer)
		})
	}
	a := onConsul(t)
	s := session(t, a)
	acquire(t, a, s, "b", published)
	a.release(t.Context(), pace.CallTimeout, "another", cluster.WhyDead, "")
	v, err := a.Lock.Read(t.Context())
	expect.OK(t, err)
	expect.Equal(t, "another member's lock", v.Session, s.ID)
}

func TestConsulError(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	expect.OK(t, a.consulError(t.Context()))
	failures := 2
	a.Lock.Client = answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if failures--; failures >= 0 {
			http.Error(w, "no leader", http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Consul-Index", "1")
		_, _ = w.Write([]byte("[]"))
	})
	expect.OK(t, a.consulError(t.Context()))
	limited := time.Now().Add(consulProbeTimeout + 200*time.Millisecond)
	a.Lock.Client = answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(limited) {
			http.Error(w, "rate limit exceeded", http.StatusTooManyRequests)
			return
		}
		w.Header().Set("X-Consul-Index", "1")
		_, _ = w.Write([]byte("[]"))
	})
	expect.OK(t, a.consulError(t.Context()))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	limited = time.Now().Add(time.Hour)
	if err := a.consulError(short); !lock.RateLimited(err) {
		t.Errorf("a consul that limits the rate for long: %v", err)
	}
	began := time.Now()
	client, err := api.NewClient(&api.Config{Address: "127.0.0.1:2"})
	expect.OK(t, err)
	a.Lock.Client = client
	if err := a.consulError(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if took := time.Since(began); took >= consulProbeTimeout {
		t.Errorf("a consul that refuses connections was asked for %s", took)
	}
}

// A master that stays without an agent keeps no guard of ours, unless Consul is down: challengers rely on what it publishes.
func TestLeaveWritable(t *testing.T) {
	t.Parallel()
	for _, down := range []error{nil, errors.New("consul is down")} {
		a, _ := onServers(t)
		s := session(t, a)
		a.publish(t, s, "me")
		newController(a).leaveWritable(t.Context(), s, down)
		guarded := down != nil
		expect.Equal(t, "guarded", status(t, a.local).MinReplicas == 1, guarded)
		expect.Equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), guarded)
		v, err := a.Lock.Read(t.Context())
		expect.OK(t, err)
		expect.Equal(t, "published guard", v.State.Master.Guard == 1, guarded)
		expect.Equal(t, "the lock is held", !v.Free(), guarded)
	}
}
