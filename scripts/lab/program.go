package lab

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// SentinelClients are the programs of scripts/tools/clients: each writes through Sentinel with one library, and knows no resec.
var SentinelClients = []string{"go-redis", "rueidis", "ioredis.js", "node-redis.js", "redis-py.py", "redis-rb.rb", "perl-redis.pl"}

// interpreters are what runs a program, by its suffix. Debian's Python has Debian's packages.
var interpreters = map[string][]string{".js": {"node"}, ".py": {"/usr/bin/python3"}, ".rb": {"ruby"}, ".pl": {"perl"}}

// clients is the folder of the programs.
var clients = sync.OnceValues(func() (string, error) { return Need("clients") })

// SentinelAddr is the address of the endpoint of the i-th member's agent, if it has one.
func (k *Cluster) SentinelAddr(i int) string { return net.JoinHostPort(k.Redis[i].Host, "26379") }

// StartClient starts one of SentinelClients on the cluster's host for clients. It asks for the master by name at the addresses
// given. What it writes is counted as by any Writer; its Stop ends the process.
func (k *Cluster) StartClient(ctx context.Context, program, name string, sentinels ...string) (*Writer, error) {
	dir, err := clients()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	w := &Writer{Writing: k.Writing(pace), prefix: fmt.Sprintf("w%d:", writers.Add(1)), began: time.Now(), stop: stop,
		done: make(chan struct{}), errors: map[string]int{}}
	args := append(slices.Clone(interpreters[filepath.Ext(program)]), filepath.Join(dir, program))
	args = k.Here.In(args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(clean(cmd.Environ()), "SENTINELS="+strings.Join(sentinels, ","), "MASTER="+name,
		"PREFIX="+strings.TrimSuffix(w.prefix, ":"), fmt.Sprint("PACE=", pace.Milliseconds()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = spawn(cmd)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("start client %s: %w", program, err)
	}
	go func() {
		defer close(w.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.line(lines.Text())
		}
		if err := cmd.Wait(); ctx.Err() == nil {
			w.note(fmt.Sprint("ended: ", err))
		}
	}()
	return w, nil
}

// line takes a line of a program: the number of an acknowledged write, or an error.
func (w *Writer) line(text string) {
	if n, err := strconv.Atoi(text); err == nil {
		w.ack(n)
		return
	}
	w.note(strings.TrimPrefix(text, "! "))
}

// note counts an error by its text.
func (w *Writer) note(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[text]++
}
