package commands

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/expect"
)

// logged is a log with its events.
type logged struct{ expect.Log }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// events are the events of the lines so far.
func (l *logged) events() (events []string) {
	for _, field := range strings.Fields(l.String()) {
		if event, ok := strings.CutPrefix(field, "event="); ok {
			events = append(events, event)
		}
	}
	return events
}

// A read that hangs costs one reloadTimeout, however often the value is needed, and one goroutine. Its value is used once it
// returns.
func TestReloading_ReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		var hang atomic.Bool
		var reads atomic.Int32
		resume := make(chan int)
		get, err := reloading(log.logger(), "NAME", func() (int, error) {
			reads.Add(1)
			if hang.Load() {
				return <-resume, nil
			}
			return 1, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		hang.Store(true)
		began := time.Now()
		for range 100 {
			if got := get(); got != 1 {
				t.Errorf("got %d, want the last value", got)
			}
		}
		if took := time.Since(began); took != reloadTimeout {
			t.Errorf("100 calls took %s, want %s", took, reloadTimeout)
		}
		if n := reads.Load(); n != 2 {
			t.Errorf("%d reads, want 2: the first, and one that hangs", n)
		}
		hang.Store(false)
		resume <- 2
		synctest.Wait()
		if got := get(); got != 1 || reads.Load() != 3 {
			t.Errorf("got %d after %d reads, want a new read", got, reads.Load())
		}
		if want := []string{"reload_failed", "reload_recovered"}; !slices.Equal(log.events(), want) {
			t.Errorf("logged %q, want %q", log.events(), want)
		}
	})
}

// Callers share a read that is under way, and its value.
func TestReloading_SharesARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		var reads atomic.Int32
		get, err := reloading(log.logger(), "NAME", func() (int32, error) {
			<-time.After(reloadTimeout / 2)
			return reads.Add(1), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if got := get(); got != 2 {
					t.Errorf("got %d, want the value of the second read", got)
				}
			})
		}
		calls.Wait()
		if len(log.events()) != 0 {
			t.Errorf("logged %q", log.events())
		}
	})
}

func TestReloading_FirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		fails := func() (int, error) { return 0, broken }
		if get, err := reloading(slog.New(slog.DiscardHandler), "NAME", fails); err != broken || get != nil {
			t.Errorf("got %v, want the error of the read", err)
		}
		began := time.Now()
		resume := make(chan int)
		_, err := reloading(slog.New(slog.DiscardHandler), "NAME", func() (int, error) { return <-resume, nil })
		if !errors.Is(err, errSlowFile) || !strings.Contains(err.Error(), "NAME") || time.Since(began) != firstLoadTimeout {
			t.Errorf("got %v after %s, want an error that names the variable after %s", err, time.Since(began), firstLoadTimeout)
		}
		close(resume)
	})
}

// Each kind of failure is logged once, and the recovery too.
func TestReloading_LogsChanges(t *testing.T) {
	var log logged
	one, two := errors.New("one"), errors.New("two")
	results := []error{nil, nil, one, one, two, two, nil, nil, one}
	i := -1
	get, err := reloading(log.logger(), "NAME", func() (int, error) { i++; return i, results[i] })
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{1, 1, 1, 1, 1, 6, 7, 7} {
		if got := get(); got != want {
			t.Errorf("call %d: got %d, want %d", n, got, want)
		}
	}
	want := []string{"reload_failed", "reload_failed", "reload_recovered", "reload_failed"}
	if !slices.Equal(log.events(), want) {
		t.Errorf("logged %q, want %q", log.events(), want)
	}
	if text := log.String(); !strings.Contains(text, "variable=NAME") || !strings.Contains(text, "err=two") {
		t.Errorf("the log lacks the variable or the error:\n%s", text)
	}
}
