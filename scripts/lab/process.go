package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a server or an agent that the lab started. Its output goes to a file, the same one after a restart.
type Process struct {
	Name string
	Log  string // path
	args []string
	env  []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has been waited for
}

// spawn starts a command from the one thread that lives as long as this process: Pdeathsig, which ends the servers of a
// test that was killed, is sent when the thread that started them ends.
func spawn(cmd *exec.Cmd) error {
	spawner.Do(func() {
		go func() {
			runtime.LockOSThread()
			for start := range starts {
				start()
			}
		}()
	})
	err := make(chan error)
	starts <- func() { err <- cmd.Start() }
	return <-err
}

var (
	spawner sync.Once
	starts  = make(chan func())
)

// Start runs a command until the lab is closed, with variables added to its environment.
func (l *Lab) Start(name string, env []string, args ...string) (*Process, error) {
	p := l.process(name, env, args)
	return p, p.Start()
}

// process is a process that was not started yet.
func (l *Lab) process(name string, env, args []string) *Process {
	p := &Process{Name: name, Log: filepath.Join(l.Dir, name+".log"), args: args, env: env}
	l.onClose(p.Kill)
	return p
}

// Start starts the process again after it ended; the variables given are in its environment for this time only.
func (p *Process) Start(env ...string) error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Env = slices.Concat(clean(os.Environ()), p.env, env, []string{quickExit})
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, filepath.Dir(p.Log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := spawn(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.done = cmd, done
	return nil
}

// quickExit: a program with the race detector in it otherwise sleeps for a second at its end.
const quickExit = "GORACE=atexit_sleep_ms=0"

// clean drops what a developer's shell might say to Consul, Redis or resec.
func clean(env []string) []string {
	out := env[:0:0]
	for _, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); {
		case strings.HasPrefix(name, "CONSUL_"), strings.HasPrefix(name, "REDIS_"), strings.HasPrefix(name, "HEALTHCHECK_"), strings.HasPrefix(name, "SENTINEL_"),
			name == "ANNOUNCE_ADDR", name == "MEMBER_ID", strings.HasSuffix(name, "_TAGS"), strings.HasPrefix(name, "LOG_"), strings.HasPrefix(name, "RESEC_"):
		default:
			out = append(out, kv)
		}
	}
	return out
}

func (p *Process) now() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.done
}

// Running reports whether the process lives.
func (p *Process) Running() bool {
	_, done := p.now()
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// PID is its number.
func (p *Process) PID() int {
	cmd, _ := p.now()
	return cmd.Process.Pid
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) {
	if cmd, _ := p.now(); cmd != nil && p.Running() {
		_ = cmd.Process.Signal(s)
	}
}

// Freeze stops the process without ending it; Thaw lets it continue.
func (p *Process) Freeze() { p.Signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (p *Process) Thaw() { p.Signal(syscall.SIGCONT) }

// Kill ends the process at once, and what it started in its group, and waits for it. If the process has ended, and its number is
// another one's by now, so may be the group's: it is left alone.
func (p *Process) Kill() {
	cmd, done := p.now()
	if done == nil || !p.Running() && syscall.Kill(cmd.Process.Pid, 0) != syscall.ESRCH {
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
}

// Wait returns the exit code; -1 after a signal.
func (p *Process) Wait(ctx context.Context) (int, error) {
	cmd, done := p.now()
	select {
	case <-done:
		return cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s: %w", p.Name, ctx.Err())
	}
}

// Stop asks the process to end, and returns its exit code; after 20 s it is killed.
func (p *Process) Stop(s syscall.Signal) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p.Signal(s)
	code, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
	}
	return code, err
}

// Output is what the process wrote so far.
func (p *Process) Output() string {
	data, _ := os.ReadFile(p.Log)
	return string(data)
}

// Said returns nil once the process has written the text.
func (p *Process) Said(text string) error {
	if !bytes.Contains([]byte(p.Output()), []byte(text)) {
		return fmt.Errorf("%s did not say %q:\n%s", p.Name, text, p.Output())
	}
	return nil
}

var errRace = errors.New("data race")

// Sane returns an error if the process reported a data race or a panic.
func (p *Process) Sane() error {
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if out := p.Output(); strings.Contains(out, bad) {
			return fmt.Errorf("%w or panic in %s:\n%s", errRace, p.Name, out)
		}
	}
	return nil
}
