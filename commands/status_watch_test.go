package commands_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"resec/commands"
	"resec/commands/expect"
	"resec/scripts/lab"
)

// watchStatus runs status -watch without Consul while read reads its output, then stops it.
func watchStatus(t *testing.T, stdout *os.File, read func(), args ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan int, 1)
	var errs strings.Builder
	go func() {
		done <- commands.Run(ctx, append([]string{"resec", "status", "-watch", "-http-addr", lab.Host() + ":8500"}, args...),
			strings.NewReader(""), stdout, &errs)
	}()
	read()
	stop()
	select {
	case code := <-done:
		if code != 0 || errs.String() != "" {
			t.Errorf("exit %d: %s", code, &errs)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not stop")
	}
}

func TestStatus_WatchWithoutConsul(t *testing.T) {
	t.Parallel()
	t.Run("through a pipe", func(t *testing.T) {
		r, w, err := os.Pipe()
		expect.OK(t, err)
		defer r.Close()
		defer w.Close()
		expect.OK(t, r.SetReadDeadline(time.Now().Add(20*time.Second)))
		lines := bufio.NewReader(r)
		watchStatus(t, w, func() {
			for _, want := range []string{"20", "unknown: cannot read the cluster from consul: ", "",
				"20", "unknown: cannot read the cluster from consul: "} { // the lines that begin with 20 are times
				if l, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(l, want) || want == "" && l != "\n" {
					t.Errorf("got %q, %v; want %q", l, err, want)
				}
			}
		})
	})
	t.Run("as JSON, one document a line", func(t *testing.T) {
		r, w, err := os.Pipe()
		expect.OK(t, err)
		defer r.Close()
		defer w.Close()
		expect.OK(t, r.SetReadDeadline(time.Now().Add(20*time.Second)))
		lines := bufio.NewReader(r)
		watchStatus(t, w, func() {
			for range 2 {
				var doc struct {
					Code    int
					Verdict string
				}
				l, err := lines.ReadString('\n')
				expect.OK(t, err)
				if err := json.Unmarshal([]byte(l), &doc); err != nil || doc.Code != 3 ||
					!strings.Contains(doc.Verdict, "connection refused") {
					t.Errorf("got %q: %v", l, err)
				}
			}
		}, "-json")
	})
	t.Run("on a terminal the screen is cleared", func(t *testing.T) {
		screen, shell := terminal(t)
		watchStatus(t, shell, func() {
			got := make([]byte, 0, 4096)
			for strings.Count(string(got), "\x1b[H\x1b[2J20") < 2 || !strings.Contains(string(got), "unknown: ") {
				n, err := screen.Read(got[len(got):cap(got)])
				expect.OK(t, err)
				got = got[:len(got)+n]
			}
		})
	})
}

// terminal opens a pseudo-terminal: screen reads what is written to shell.
func terminal(t *testing.T) (screen io.Reader, shell *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC,
		0) // non-blocking, so that a read has a deadline
	expect.OK(t, err)
	expect.OK(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	expect.OK(t, err)
	master := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _ = master.Close() })
	expect.OK(t, master.SetReadDeadline(time.Now().Add(20*time.Second)))
	shell, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	expect.OK(t, err)
	t.Cleanup(func() { _ = shell.Close() })
	return master, shell
}
