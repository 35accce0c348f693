package commands_test

import (
	"os"
	"strings"
	"testing"

	"resec/commands"
	"resec/commands/expect"
)

// What a command has changed is changed, also if stdout takes no result: the exit code is 0, and the result is on stderr.
func TestRun_StdoutIsFull(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	expect.OK(t, err)
	t.Cleanup(func() { full.Close() })
	cluster := []string{"-http-addr=" + k.Consul.HTTP(), "-consul-lock-key=" + k.Name + "/.lock", "-consul-service-prefix=" + k.Name}
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{append([]string{"pause"}, cluster...), "paused until", 0},
		{append([]string{"resume"}, cluster...), "resumed", 0},
		{append([]string{"switchover"}, cluster...), "is master, term 2", 0},
		{[]string{"fence", "-redis-addr=" + k.Redis[m].Addr}, `"handler":"fence"`, 0},
		{append([]string{"status"}, cluster...), "no space left on device", 1}, // it has changed nothing: its output is all that it does
		{[]string{"version"}, "no space left on device", 1},
	} {
		var errs strings.Builder
		code := commands.Run(t.Context(), append([]string{"resec"}, tt.args...), strings.NewReader(""), full, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.args[0], code, &errs, tt.code, tt.want)
		}
	}
}
