package known

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/observable"
)

// A wrong address is noted and logged once, and forgotten when the member's own Redis answers there.
func TestAddresses(t *testing.T) {
	var log bytes.Buffer
	a := &Addresses{Known: observable.New[Snapshot](), Log: slog.New(slog.NewTextHandler(&log, nil))}
	wrong := fmt.Errorf("%w: it leads elsewhere", cluster.ErrWrongAddress)
	for _, tt := range []struct {
		err   error
		noted bool
	}{{errors.New("no answer"), false}, {wrong, true}, {wrong, true}, {errors.New("no answer"), true}, {nil, false}, {wrong, true}} {
		a.Note("b", "redis:6379", tt.err)
		if got := a.Known.Load().WrongAddresses.Has("b", "redis:6379"); got != tt.noted {
			t.Errorf("after %v: noted is %t", tt.err, got)
		}
	}
	if n := strings.Count(log.String(), "event=wrong_address"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
	if !a.mayLog("b", time.Now().Add(wrongAddressLogInterval)) {
		t.Error("it is not logged again after the interval")
	}
}
