package commands_test

import (
	"context"
	"testing"
	"time"

	"resec/handlers/redis"
	"resec/scripts/lab"
)

// A frozen Redis fences and parks itself with the first that it reads, also where the connection that was kept for that has
// been ended, and whoever sent it is gone by then. Only over the one that was kept is that sure.
func TestTestament(t *testing.T) {
	for _, v := range []struct {
		name string
		sure bool
		end  func(*testing.T, *lab.Redis)
	}{
		{"over the connection that was kept", true, func(*testing.T, *lab.Redis) {}},
		{"over a new one", false, func(t *testing.T, r *lab.Redis) { ok(t, do(r, "CLIENT", "KILL", "TYPE", "normal")) }},
	} {
		t.Run(v.name, func(t *testing.T) {
			r, err := lab.ForTest(t).StartRedis("frozen", "--requirepass", "secret")
			ok(t, err)
			will := redis.NewEmergencyFence(redis.Options{Addr: r.Addr, Login: redis.StaticLogin("", "secret"), Name: "resec:test",
				Timeout: time.Second})
			ok(t, will.Connect(t.Context()))
			v.end(t, r)
			r.Freeze()
			if err := will.Send(t.Context()); (err == nil) != v.sure {
				t.Errorf("executed: %v", err)
			}
			will.Close()
			r.Thaw()
			s, err := redis.Open(t.Context(), redis.Options{Addr: r.Addr, Login: redis.StaticLogin("", "secret"), Timeout: time.Second})
			ok(t, err)
			defer s.Close()
			lab.Eventually(t, 5*time.Second, func() error {
				st, err := s.Status(context.Background())
				if err == nil && !(st.Parked() && st.Fenced()) {
					t.Fatalf("it is %+v", st)
				}
				return err
			})
		})
	}
}

// do is a command whose answer does not matter.
func do(r *lab.Redis, args ...string) error {
	_, err := r.Do(args...)
	return err
}
