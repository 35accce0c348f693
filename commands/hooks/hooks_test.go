package hooks

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/expect"
	"resec/handlers"
)

// deadline bounds every wait of these tests. None comes near it unless something hangs.
const deadline = 10 * time.Second

// start starts a runner of shell commands, each given as "kind: command". The hooks write to descriptor 3, the file out.
// wait ends the runner and returns the words in that file, and the kinds of the hooks that failed.
func start(t *testing.T, lines ...string) (r *Runner, out string, wait func() (written, failed []string)) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out")
	var hooks []Hook
	for _, l := range lines {
		on, line, _ := strings.Cut(l, ": ")
		hooks = append(hooks, Hook{on, &handlers.Command{Args: []string{"exec 3>>" + out + "; " + line}, Shell: true,
			Stdout: io.Discard, Stderr: io.Discard}})
	}
	var failed []string
	r = New(hooks, func(on string) { failed = append(failed, on) }, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx, ended) })
	return r, out, func() ([]string, []string) {
		stop()
		close(ended)
		done.Wait()
		data, _ := os.ReadFile(out)
		return strings.Fields(string(data)), failed
	}
}

// eventually waits until the file contains the text.
func eventually(t *testing.T, file, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); ; <-tick.C {
		data, _ := os.ReadFile(file)
		switch {
		case strings.Contains(string(data), text):
			return
		case time.Now().After(end):
			t.Fatalf("%q is not in %q", text, data)
		}
	}
}

func TestRunner_RunsHooksInOrder(t *testing.T) {
	r, _, wait := start(t, "promote: cat >&3", "fence: cat >&3", "promote: echo $X >&3; exit 3")
	r.Notify("promote", 1, "X=x")
	r.Notify("fence", 2)
	r.Notify("replicate", 3)
	written, failed := wait() // queued events are still run
	if d := cmp.Diff([]string{"1", "x", "2"}, written); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"promote"}, failed); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if f := r.Failures(); len(f) != 1 || !strings.Contains(f[0], "exit status 3") {
		t.Errorf("last failures: %q", f)
	}
}

func TestRunner_OnlyTheNewestEventWaits(t *testing.T) {
	r, out, wait := start(t, "promote: read x; echo $x >&3; while ! grep -q go $OUT; do sleep 0.01; done", "fence: cat >&3")
	t.Setenv("OUT", out)
	r.Notify("promote", 1)
	eventually(t, out, "1")
	r.Notify("promote", 2)
	r.Notify("fence", "a")
	r.Notify("promote", 3)
	r.Notify("fence", "b")
	f, err := os.OpenFile(out, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("go\n")
	}
	expect.OK(t, err)
	_ = f.Close()
	written, _ := wait()
	if d := cmp.Diff([]string{"1", "go", "3", `"b"`}, written); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
}

func TestRunner_EndsAHookThatHangs(t *testing.T) {
	r, out, wait := start(t, "promote: echo up >&3; sleep 60 & wait", "promote: echo next >&3")
	r.timeout = 200 * time.Millisecond
	r.Notify("promote", 1)
	eventually(t, out, "next")
	_, failed := wait()
	if d := cmp.Diff([]string{"promote"}, failed); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if f := r.Failures(); len(f) != 1 || !strings.Contains(f[0], errTimeout.Error()) {
		t.Errorf("last failures: %q", f)
	}
}

// The hook and its children hold the write end of a pipe, which is closed when the last of them ends.
func TestRunner_LeavesNoProcessBehind(t *testing.T) {
	for _, tt := range []struct{ name, line string }{
		{"a hook that hangs", `echo up >&3; exec sleep 60`},
		{"a hook that ignores SIGTERM, with a child",
			`trap "" TERM; sh -c 'trap "" TERM; echo up >&3; while :; do sleep 1; done' & wait; while :; do sleep 1; done`},
		{"a background process of a hook that has ended", `(trap "" TERM; echo up >&3; while :; do sleep 1; done) & exit 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read, write, err := os.Pipe()
			expect.OK(t, err)
			defer read.Close()
			r, out, wait := start(t, "fence: "+tt.line)
			r.hooks[0].Command.Stderr = write
			began := time.Now()
			r.Notify("fence", 1)
			eventually(t, out, "up")
			wait()
			_ = write.Close()
			_ = read.SetReadDeadline(time.Now().Add(deadline))
			if _, err := io.Copy(io.Discard, read); err != nil {
				t.Errorf("a process is left: %v", err)
			}
			if took := time.Since(began); took > deadline {
				t.Errorf("it took %s", took)
			}
		})
	}
}
