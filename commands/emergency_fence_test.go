package commands_test

import (
	"context"
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

// do sends a command and ignores its reply.
func do(r *lab.Redis, args ...string) error {
	_, err := r.Do(args...)
	return err
}
