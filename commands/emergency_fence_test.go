package commands_test

import (
	"context"
	"testing"
	"time"

	"resec/handlers/redis"
	"resec/scripts/lab"
)

// A frozen Redis executes the fence and the park that it received while it was frozen, before anything else, even if the
// sender has exited. That is certain only over the connection that was opened before; over a new one the sender gets an
// error.
func TestEmergencyFence(t *testing.T) {
	for _, v := range []struct {
		name    string
		certain bool
		end     func(*testing.T, *lab.Redis)
	}{
		{"over the kept connection", true, func(*testing.T, *lab.Redis) {}},
		{"over a new one", false, func(t *testing.T, r *lab.Redis) { ok(t, do(r, "CLIENT", "KILL", "TYPE", "normal")) }},
	} {
		t.Run(v.name, func(t *testing.T) {
			r, err := lab.ForTest(t).StartRedis("frozen", "--requirepass", "secret")
			ok(t, err)
			emergency := redis.NewEmergencyFence(redis.Options{Addr: r.Addr, Login: redis.StaticLogin("", "secret"),
				Name:    "resec:test",
				Timeout: time.Second})
			ok(t, emergency.Connect(t.Context()))
			v.end(t, r)
			r.Freeze()
			if err := emergency.Send(t.Context()); (err == nil) != v.certain {
				t.Errorf("send: %v", err)
			}
			emergency.Close()
			r.Thaw()
			s, err := redis.Open(t.Context(), redis.Options{Addr: r.Addr, Login: redis.StaticLogin("", "secret"),
				Timeout: time.Second})
			ok(t, err)
			defer s.Close()
			lab.Eventually(t, 5*time.Second, func() error {
				st, err := s.Status(context.Background())
				if err == nil && !(st.Parked() && st.Fenced()) {
					t.Fatalf("not parked and fenced: %+v", st)
				}
				return err
			})
		})
	}
}

// do runs a command and ignores its answer.
func do(r *lab.Redis, args ...string) error {
	_, err := r.Do(args...)
	return err
}
