//go:build crash

// Package failpoint names the steps of a take-over, a handover and a guard's change.
package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Hit ends this process as `kill -9` does, where RESEC_CRASH_AT names the step. Where RESEC_HALT_AT does it says so by a file in
// RESEC_HALT_IN, and waits for another, so that something can be done to the servers at this very moment.
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

// haltTimeout bounds the wait, should nobody end it.
const haltTimeout = 10 * time.Second

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
