package commands_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// A frozen Redis fences and parks itself first when it resumes, also if the sender's connection is closed by then. Send
// reports success only if the connection was open before.
func TestEmergencyFence(t *testing.T) {
	for _, v := range []struct {
		name string
		want bool // Send reports success
		end  func(*testing.T, *lab.Redis)
	}{
		{"on the open connection", true, func(*testing.T, *lab.Redis) {}},
		{"on a new connection", false, func(t *testing.T, r *lab.Redis) { expect.OK(t, do(r, "CLIENT", "KILL", "TYPE", "normal")) }},
	} {
		t.Run(v.name, func(t *testing.T) {
			r, err := lab.ForTest(t).StartRedis("frozen", "--requirepass", "secret")
			expect.OK(t, err)
			opt := redis.Options{Addr: r.Addr, Login: redis.StaticLogin("", "secret"), Name: "resec:test", Timeout: time.Second}
			fence := redis.NewEmergencyFence(opt)
			expect.OK(t, fence.Connect(t.Context()))
			v.end(t, r)
			r.Freeze()
			if err := fence.Send(t.Context()); (err == nil) != v.want {
				t.Errorf("sent: %v", err)
			}
			fence.Close()
			r.Thaw()
			s, err := redis.Open(t.Context(), opt)
			expect.OK(t, err)
			defer s.Close()
			lab.Eventually(t, 5*time.Second, func() error {
				st, err := s.Status(context.Background())
				if err == nil && !(st.Parked() && st.Fenced()) {
					t.Fatalf("got %+v, want a fenced and parked server", st)
				}
				return err
			})
		})
	}
}

// The connection outlives the server's own limit for idle connections.
func TestEmergencyFence_IsKept(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("idle", "--timeout", "1")
	expect.OK(t, err)
	opt := redis.Options{Addr: r.Addr, Name: "resec:test", Timeout: time.Second}
	s, err := redis.Open(t.Context(), opt)
	expect.OK(t, err)
	defer s.Close()
	fence := redis.NewEmergencyFence(opt)
	defer fence.Close()
	ctx, end := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { fence.Keep(ctx, s, func(error) {}) })
	defer keeping.Wait()
	defer end()
	lab.Eventually(t, 10*time.Second, func() error { // idle connections end after 1 to 2 s
		list, err := r.Do("CLIENT", "LIST", "TYPE", "normal")
		if err != nil {
			return err
		}
		for line := range strings.Lines(list) {
			age := 0
			_, after, _ := strings.Cut(line, " age=")
			if _, err := fmt.Sscan(after, &age); err == nil && strings.Contains(line, "name=resec:test") && age >= 5 {
				return nil
			}
		}
		return fmt.Errorf("no connection is old enough:\n%s", list)
	})
	r.Freeze()
	expect.OK(t, fence.Send(t.Context()))
}

// do sends a command and ignores its reply.
func do(r *lab.Redis, args ...string) error {
	_, err := r.Do(args...)
	return err
}
