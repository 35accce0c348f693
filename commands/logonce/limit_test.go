package logonce

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// clock is a time that a test sets, with the timers that are due by it.
type clock struct {
	at     time.Time
	timers map[int]timer
	made   int
}

type timer struct {
	at  time.Time
	run func()
}

func (c *clock) after(d time.Duration, f func()) func() bool {
	c.made++
	id := c.made
	c.timers[id] = timer{c.at.Add(d), f}
	return func() bool { delete(c.timers, id); return true }
}

// pass lets time pass.
func (c *clock) pass(d time.Duration) {
	c.at = c.at.Add(d)
	for id, t := range c.timers {
		if !t.at.After(c.at) {
			delete(c.timers, id)
			t.run()
		}
	}
}

// limitedLog is a log with a limiter, the clock of the limiter, and a function that returns what was logged since its last call.
func limitedLog() (*slog.Logger, *Limiter, *clock, func() string) {
	c := &clock{at: time.Now(), timers: map[int]timer{}}
	l := NewLimiter()
	l.now, l.after = func() time.Time { return c.at }, c.after
	var out bytes.Buffer
	h := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(l.Handler(h)), l, c, func() string { defer out.Reset(); return out.String() }
}

// The first lines of an event are logged, then one every five minutes, the newest, with the number of those before it.
func TestLimiter(t *testing.T) {
	log, _, c, logged := limitedLog()
	for i := range linesAtOnce {
		log.Warn("it happened", "event", "happened", "n", i)
	}
	if got := strings.Count(logged(), "\n"); got != linesAtOnce {
		t.Errorf("%d lines at once", got)
	}
	for round := range 3 {
		for i := range 30 {
			log.Warn("it happened", "event", "happened", "n", i)
			c.pass(10 * time.Second)
		}
		if got, want := logged(), "msg=\"it happened\" event=happened n=29 repeated=30\n"; got != want {
			t.Errorf("round %d: got %q, want %q", round, got, want)
		}
	}
	c.pass(repeatAfter)
	if got := logged(); got != "" {
		t.Errorf("nothing has happened: %q", got)
	}
	log.Warn("it happened", "event", "happened", "n", 0)
	if got := logged(); got != "msg=\"it happened\" event=happened n=0\n" {
		t.Errorf("after a calm time: %q", got)
	}
}

// A few lines are logged however far apart they are; of an event that lasts for longer than a minute no more.
func TestLimiter_FarApart(t *testing.T) {
	log, _, c, logged := limitedLog()
	for range 12 {
		log.Warn("it happened", "event", "happened")
		c.pass(20 * time.Second)
	}
	if n := strings.Count(logged(), "\n"); n != freeLines {
		t.Errorf("%d lines of 12 in 4 minutes", n)
	}
	c.pass(repeatAfter)
	if got := logged(); got != "msg=\"it happened\" event=happened repeated=8\n" {
		t.Errorf("five minutes later: %q", got)
	}
}

// One event does not limit another. Lines without an event, and those below INFO, are not limited. All loggers of one limiter
// limit together.
func TestLimiter_Each(t *testing.T) {
	log, l, _, logged := limitedLog()
	l.Unlimited = []string{"e"}
	with := log.With("of", "with")
	for range linesAtOnce {
		with.Info("a", "event", "a")
		log.Info("a", "event", "a")
		log.Info("b", "event", "b")
		log.Debug("c", "event", "c")
		log.Info("d")
	}
	for range linesAtOnce {
		log.Debug("c", "event", "c")
		log.Info("d")
		log.Info("e", "event", "e")
		log.Info("e", "event", "e")
	}
	got := logged()
	for line, want := range map[string]int{"msg=a": linesAtOnce, "msg=b": linesAtOnce, "msg=c": 2 * linesAtOnce, "msg=d": 2 * linesAtOnce,
		"msg=e": 2 * linesAtOnce} {
		if n := strings.Count(got, line); n != want {
			t.Errorf("%s: %d lines, want %d", line, n, want)
		}
	}
}

// What is held back at the end is logged then.
func TestLimiter_Close(t *testing.T) {
	log, l, c, logged := limitedLog()
	for i := range linesAtOnce + 5 {
		log.With("of", "it").Error("it failed", "event", "failed", "n", i)
	}
	logged()
	l.Close()
	if got, want := logged(), fmt.Sprintf("msg=\"it failed\" of=it event=failed n=%d repeated=5\n", linesAtOnce+4); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.pass(repeatAfter)
	log.Error("it failed", "event", "failed", "n", 99)
	if got := logged(); got != "msg=\"it failed\" event=failed n=99\n" {
		t.Errorf("after the end: %q", got)
	}
}
