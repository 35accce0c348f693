package main

import (
	"go/token"
	"strings"
	"testing"
)

func TestChecker(t *testing.T) {
	for _, tt := range []struct {
		name, body, want string // want: part of the only problem; empty: there is none
	}{
		{"a good line", `log.Info("started", "event", "started", "addr", addr)`, ""},
		{"a long message", `a.Log.Warn("one "+"two", "event", "one_two")`, ""},
		{"a level that varies", `a.log.Log(ctx, level, "waiting", "event", "waiting")`, ""},
		{"a logger with attributes", `log.With("a", 1).Error("failed", "event", "failed")`, ""},
		{"the same line twice", `log.Info("x", "event", "x"); log.Debug("x", "event", "x", "err", err)`, ""},
		{"arguments that are passed on", `log.Info(message, attrs...)`, ""},
		{"another method", `err.Error(); t.Error("x"); redis.Info("server")`, ""},
		{"no attributes", `log.Info("started")`, `"started" has no event`},
		{"another attribute first", `log.Info("started", "addr", addr, "event", "started")`, `the first attribute of "started"`},
		{"a name that is no constant", `log.Info("started", "event", name)`, `the first attribute of "started"`},
		{"a name with a blank", `log.Info("started", "event", "is started")`, `the first attribute of "started"`},
		{"a message that is no constant", `slog.Info("started "+addr, "event", "started")`, "no constant text"},
		{"two messages of one event", `log.Info("x", "event", "e"); log.Info("y", "event", "e")`, `event e has the message "y"`},
		{"two events of one message", `log.Info("x", "event", "e"); log.Info("x", "event", "f")`, `message "x" has the event f`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := checker{set: token.NewFileSet(), messages: map[string]line{}, names: map[string]line{}}
			if err := c.file("x.go", []byte("package p\nfunc f() {\n"+tt.body+"\n}\n")); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(c.problems, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
