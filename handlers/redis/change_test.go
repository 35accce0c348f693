package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFence_KeepsWhatItReplaced(t *testing.T) {
	for _, tt := range []struct {
		name               string
		before, over, back int
	}{
		{"nothing", 0, 2147483647, 0},
		{"one replica", 1, 2147483646, 1},
		{"the most that it can keep", 1023, 2147482624, 1023},
		{"more than it can keep comes back as the most", 1024, 2147482624, 1023},
		{"the maximum comes back as the most", math.MaxInt32, 2147482624, 1023},
		{"less than nothing comes back as nothing", -1, 2147483647, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over := fenceOver(tt.before)
			if over != tt.over || !fenced(over) || underFence(over) != tt.back {
				t.Errorf("fenceOver(%d) = %d, fenced %t, underFence %d; want %d, true, %d",
					tt.before, over, fenced(over), underFence(over), tt.over, tt.back)
			}
			if got := (Status{MinReplicas: over}).MinReplicasUnfenced(); got != tt.back {
				t.Errorf("unfenced() = %d, want %d", got, tt.back)
			}
		})
	}
}

func TestFenced(t *testing.T) {
	for n, want := range map[int]bool{
		0: false, 1: false, 1023: false, 1024: false, math.MaxInt32 - 1024: false,
		math.MaxInt32 - 1023: true, math.MaxInt32 - 1: true, math.MaxInt32: true,
	} {
		if got := fenced(n); got != want {
			t.Errorf("fenced(%d) = %t, want %t", n, got, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		want       []string
	}{
		{"nobody", "", nil},
		{"a client without a name is one", "id=3 addr=10.0.0.9:1 laddr=10.0.0.1:6379 fd=8 name= age=1 flags=N db=0 cmd=get user=default\n", []string{"3"}},
		{"a client with a name of its own is one", "id=4 addr=10.0.0.9:2 name=web age=1\n", []string{"4"}},
		{"an agent's connection is none, whosever agent it is", "id=5 addr=10.0.0.9:3 name=resec:node/redis-:6379 age=1\n", nil},
		{"only the name itself counts, not the library's", "id=6 name=web lib-name=resec:x lib-ver=1\n", []string{"6"}},
		{"a name that only contains ours is a stranger's", "id=7 name=my-resec:x\n", []string{"7"}},
		{"several are told in order, the last line without an end", "id=8 name=a\r\nid=9 name=resec:b\r\n\r\nid=10 name=c", []string{"8", "10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, foreignClients(tt.list)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A server that says nothing is told from one that is not there: only the former may still accept writes.
func TestErrors_OfAServer(t *testing.T) {
	type words struct {
		Answered, Refused, Silent bool
		Why                       string
	}
	nothing := words{Silent: true, Why: "it does not answer"}
	for _, tt := range []struct {
		name string
		err  error
		want words
	}{
		{"no error is an answer", nil, words{Answered: true}},
		{"a refused connection", fmt.Errorf("dial: %w", &net.OpError{Err: syscall.ECONNREFUSED}), words{Refused: true, Why: "it refuses connections"}},
		{"a connection that was reset says nothing", fmt.Errorf("read: %w", syscall.ECONNRESET), nothing},
		{"an unreachable host says nothing", fmt.Errorf("dial: %w", syscall.EHOSTUNREACH), nothing},
		{"a deadline that is over says nothing", fmt.Errorf("INFO: %w", context.DeadlineExceeded), nothing},
		{"an error of any other kind says nothing", errors.New("broken"), nothing},
		{"who is loading has answered", fmt.Errorf("a: %w", ErrLoading), words{Answered: true, Why: "a: redis is loading its data set"}},
		{"who is too old has answered", fmt.Errorf("a: %w", ErrTooOld), words{Answered: true, Why: "a: redis 6.2 or newer is needed"}},
		{"who is not understood has answered", fmt.Errorf("a: %w", errBadInfo), words{Answered: true, Why: "a: its answer cannot be understood"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, words{Replied(tt.err), Refused(tt.err), Unreachable(tt.err), Summary(tt.err)}); d != "" {
				t.Error(d)
			}
		})
	}
}
