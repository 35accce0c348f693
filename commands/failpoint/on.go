//go:build crash

// Package failpoint stops a process at a named step of a takeover, a handover or a change of the guard.
package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Hit kills this process, as `kill -9` does, if RESEC_CRASH_AT names the step. If RESEC_HALT_AT names it, Hit first creates the
// file "halted" in the folder RESEC_HALT_IN and blocks until the file "go" is there: the test can change the servers meanwhile.
// It takes no context, because a goroutine that stalls looks at none.
func Hit(name string) {
	if os.Getenv("RESEC_HALT_AT") == name {
		halt(os.Getenv("RESEC_HALT_IN"))
	}
	if os.Getenv("RESEC_CRASH_AT") != name {
		return
	}
	fmt.Fprintln(os.Stderr, "crashing at", name)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// haltTimeout bounds the wait if the test has ended without creating the file.
const haltTimeout = 10 * time.Second

// halt waits for the file "go", and returns at once if it cannot say that it waits.
func halt(dir string) {
	if os.WriteFile(filepath.Join(dir, "halted"), nil, 0o600) != nil {
		return
	}
	for began := time.Now(); time.Since(began) < haltTimeout; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "go")); err == nil {
			return
		}
	}
}
