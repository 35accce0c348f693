package redis

import (
	"errors"
	"testing"
	"time"
)

func TestWatch_AServerThatDeniesAccess(t *testing.T) {
	p := newPeer(t, nil)
	p.fail("INFO", "-NOPERM no")
	probe := Probe{Every: time.Millisecond, Timeout: 50 * time.Millisecond, Failures: 1}
	w := watch(t, p.open(t, Options{}), probe)
	if h := w.next(t); h.Err == nil || h.AccessErr != nil {
		t.Errorf("unknown so far: got %+v, want an unusable server", h)
	}
	p.succeed("INFO")
	w.until(t, "usable", func(h Health) bool { return h.Err == nil })
	p.fail("INFO", "-NOPERM no")
	h := w.until(t, "access denied", func(h Health) bool { return h.AccessErr != nil })
	if h.Err != nil || h.Status.RunID != id40("a") || !accessRejected(h.AccessErr) {
		t.Errorf("known: got %+v, want a usable server with the last known status", h)
	}
	p.succeed("INFO")
	w.until(t, "access again", func(h Health) bool { return h.AccessErr == nil && h.Err == nil })
}

func TestWatch_AServerThatIsLoading(t *testing.T) {
	p := newPeer(t, map[string]string{"loading": "1"})
	w := watch(t, p.open(t, Options{}), rarely)
	if h := w.next(t); !errors.Is(h.Err, ErrLoading) || !h.Status.Loading {
		t.Errorf("got %+v, want ErrLoading and the status", h)
	}
	p.setInfo(map[string]string{"loading": "0"})
	w.until(t, "usable", func(h Health) bool { return h.Err == nil }) // in much less than an hour
}

func TestWatch_AServerThatIsBusy(t *testing.T) {
	p := newPeer(t, nil)
	p.fail("INFO", "-BUSY script")
	w := watch(t, p.open(t, Options{}), Probe{Every: time.Millisecond, Timeout: patience, Failures: 1})
	if h := w.next(t); !errors.Is(h.Err, errNotIdentified) {
		t.Errorf("unknown so far: got %+v, want an unusable server", h)
	}
	p.succeed("INFO")
	w.until(t, "usable", func(h Health) bool { return h.Err == nil })
	p.fail("INFO", "-BUSY script")
	before := p.count("INFO")
	eventually(t, "two probes", func() bool { return p.count("INFO") >= before+2 })
	select {
	case h := <-w.reports:
		if h.Err != nil || h.Status.RunID != id40("a") {
			t.Errorf("known: got %+v, want a usable server", h)
		}
	case <-time.After(patience):
		t.Error("no report in time")
	}
}

// A server that ends each liveness connection at once is probed with pauses, although it is usable.
func TestWatch_AServerThatEndsFurtherConnections(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{})
	p.fail("CLIENT SETNAME", "-NOPERM no")
	w := watch(t, s, Probe{Every: 2 * retryMin, Timeout: patience, Failures: 1})
	began := time.Now()
	for range 5 {
		if h := w.next(t); h.Err != nil {
			t.Errorf("got %v, want a usable server", h.Err)
		}
	}
	if took := time.Since(began); took < retryMin {
		t.Errorf("five probes within %s", took)
	}
}
