package commands_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"resec/commands"
	"resec/scripts/lab"
)

// No command leaves a goroutine behind. The test is not parallel, because goleak looks at all goroutines of the process.
func TestRun_LeavesNoGoroutine(t *testing.T) {
	k := cluster(t, 1)
	before := goleak.IgnoreCurrent()
	for _, args := range [][]string{
		{"agent", "-member-id=me", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
		{"elect", "-member-id=me", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
		{"follow", "-member-id=other", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		var log bytes.Buffer
		go func() {
			done <- commands.Run(ctx, append([]string{"resec", args[0], "-http-addr=" + k.Consul.HTTP(),
				"-redis-addr=" + k.Redis[0].Addr,
				"-consul-lock-key=" + k.Name, "-consul-service-prefix=" + k.Name}, args[1:]...), strings.NewReader(""), &log,
				&log)
		}()
		if args[0] != "follow" {
			lab.Eventually(t, 10*time.Second, func() error {
				e, err := k.Consul.Entries(k.Name+"-master", "")
				if err == nil && len(e) != 1 {
					err = errors.New("no master is registered yet")
				}
				return err
			})
		}
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("%v exited with %d:\n%s", args, code, &log)
		}
		k.Consul.CloseIdle()
		goleak.VerifyNone(t, before)
	}
}
