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

	"resec/handlers"
)

// deadline bounds every wait here; nothing comes near it unless it hangs.
const deadline = 10 * time.Second

// run is a runner of shell commands, "kind: command", that is at work; wait makes it end and returns what hooks have said
// to the file $OUT, and which have failed.
func run(t *testing.T, lines ...string) (r *Runner, out string, wait func() (said, failed []string)) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out")
	var hooks []Hook
	for _, l := range lines {
		on, line, _ := strings.Cut(l, ": ")
		hooks = append(hooks, Hook{on, &handlers.Command{Args: []string{"exec 3>>" + out + "; " + line}, Shell: true, Stdout: io.Discard, Stderr: io.Discard}})
	}
	var failed []string
	r = New(hooks, func(hook string) { failed = append(failed, hook) }, slog.New(slog.DiscardHandler))
	leave, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { r.Run(leave, over) })
	return r, out, func() ([]string, []string) {
		stop()
		close(over)
		done.Wait()
		data, _ := os.ReadFile(out)
		return strings.Fields(string(data)), failed
	}
}

// eventually waits until the file holds the text.
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

func TestRunner_InTheirOrder(t *testing.T) {
	r, _, wait := run(t, "promote: cat >&3", "fence: cat >&3", "promote: echo $X >&3; exit 3")
	r.Notify("promote", 1, "X=x")
	r.Notify("fence", 2)
	r.Notify("replicate", 3)
	said, failed := wait() // what is queued is run still
	if d := cmp.Diff([]string{"1", "x", "2"}, said); d != "" {
		t.Errorf("said (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"promote"}, failed); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if f := r.Failures(); len(f) != 1 || !strings.Contains(f[0], "exit status 3") {
		t.Errorf("last failures: %q", f)
	}
}

func TestRunner_OnlyTheNewestWaits(t *testing.T) {
	r, out, wait := run(t, "promote: read x; echo $x >&3; while ! grep -q go $OUT; do sleep 0.01; done", "fence: cat >&3")
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
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	said, _ := wait()
	if d := cmp.Diff([]string{"1", "go", "3", `"b"`}, said); d != "" {
		t.Errorf("said (-want +got):\n%s", d)
	}
}

func TestRunner_OneThatHangsIsEnded(t *testing.T) {
	r, out, wait := run(t, "promote: echo up >&3; sleep 60 & wait", "promote: echo next >&3")
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

// Each hook holds the write end of a pipe: that ends with the last process which a hook has started.
func TestRunner_LeavesNothingBehind(t *testing.T) {
	for _, tt := range []struct{ name, line string }{
		{"one that hangs", `echo up >&3; exec sleep 60`},
		{"one that is deaf, with a child", `trap "" TERM; sh -c 'trap "" TERM; echo up >&3; while :; do sleep 1; done' & wait; while :; do sleep 1; done`},
		{"what one left in the background", `(trap "" TERM; echo up >&3; while :; do sleep 1; done) & exit 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			r, out, wait := run(t, "fence: "+tt.line, "promote: echo never >&3")
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
