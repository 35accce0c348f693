// Package lab gives tests, demo, soak and bench the same cluster: real Consul and Redis servers and resec processes on
// loopback addresses of their own. A lab stops the processes that it started.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Lab owns what it starts, and a folder.
type Lab struct {
	Dir string
	Say io.Writer // progress, for a person; may be nil

	mu   sync.Mutex
	undo []func()
}

// New makes a lab in the folder.
func New(dir string) *Lab { return &Lab{Dir: dir} }

// ForTest makes a lab that ends with the test.
func ForTest(t testing.TB) *Lab {
	l := New(t.TempDir())
	t.Cleanup(l.Close)
	return l
}

// Close stops all that was started, the last first.
func (l *Lab) Close() {
	for {
		l.mu.Lock()
		n := len(l.undo)
		if n == 0 {
			l.mu.Unlock()
			return
		}
		f := l.undo[n-1]
		l.undo = l.undo[:n-1]
		l.mu.Unlock()
		f()
	}
}

func (l *Lab) onClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, f)
}

// hosts hands out loopback addresses: all of 127.0.0.0/8 is this machine, so that every server can have its usual port.
var (
	network = [2]int{64 + rand.IntN(128), rand.IntN(256)}
	hosts   atomic.Int64
)

// Host is a loopback address that no other server of this process has.
func Host() string {
	n := hosts.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", network[0], (network[1]+int(n/250))%256, n%250+1)
}

// Root is the folder of the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Need installs or builds what is missing, and returns what scripts/tools/need prints.
func Need(what string) (string, error) {
	cmd := exec.Command(filepath.Join(Root(), "scripts", "tools", "need"), what)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("need %s: %w", what, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Resec builds the program once for this process, with the race detector, and returns its path.
var Resec = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "resec-bin-")
	if err != nil {
		return "", err
	}
	built.Store(dir)
	return Build(dir, "-race", "-tags", "crash")
})

var built atomic.Value // the folder of what Resec built

// Remove removes what Resec built; the last thing that a test's main does.
func Remove() {
	if dir, ok := built.Load().(string); ok {
		_ = os.RemoveAll(dir)
	}
}

// Build builds the program with flags of `go build` into a folder.
func Build(dir string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "resec")
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", bin, ".")...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build resec: %w\n%s", err, out)
	}
	return bin, nil
}

// Until looks until the condition holds (nil), the deadline passes, or the context ends; then it returns what was wrong.
func Until(ctx context.Context, d time.Duration, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("still so after %s", d))
		case <-tick.C:
		}
	}
}

// Eventually is Until for a test. It fails the test if the condition does not hold in time.
func Eventually(t testing.TB, d time.Duration, look func() error) {
	t.Helper()
	if err := Until(t.Context(), d, look); err != nil {
		t.Fatal(err)
	}
}

// FreePort is a port that nothing listened on a moment ago.
func FreePort(host string) (int, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
