package commands

import (
	"bytes"
	"io"
	"log/slog"
	"time"

	"resec/commands/logonce"
	"resec/commands/output"
)

// logger returns the log. It says how many lines were dropped because nobody read them, and bounds those of an event that lasts.
func (c *config) logger(to *output.Queue) *slog.Logger {
	to.OnDropped(func(lines int) []byte {
		var notice bytes.Buffer
		slog.New(c.logHandler(&notice, slog.LevelWarn)).Warn("lines of the log were dropped because nobody read them",
			"event", "log_lines_dropped", "lines", lines)
		return notice.Bytes()
	})
	if c.limiter == nil {
		c.limiter = logonce.NewLimiter()
		c.limiter.Unlimited = []string{"state"} // a signal asks for each of them
	}
	return slog.New(c.limiter.Handler(c.logHandler(to, c.logLevel)))
}

func (c *config) logHandler(w io.Writer, level slog.Level) slog.Handler {
	opt := &slog.HandlerOptions{Level: level}
	if c.logFormat == "json" {
		return slog.NewJSONHandler(w, opt)
	}
	return slog.NewTextHandler(w, opt)
}

// droppedInterval is the least time between two lines that say that output of handlers was dropped.
const droppedInterval = 5 * time.Minute

// childOutput is where child processes print.
type childOutput struct {
	stdout, stderr io.Writer
	close          func() // passes on what was printed until now; the children have ended by then
}

// queuedOutput is for handlers and hooks: the standard streams of this program, but a child need not wait if nobody reads. It
// returns an error if this process can open no pipe.
func (p *program) queuedOutput(log *slog.Logger) (childOutput, error) {
	stderr, err := output.NewPipe(p.log)
	if err != nil {
		return childOutput{}, err
	}
	queue := output.NewQueue(p.stdout)
	queue.OnDropped(reportDropped(log))
	stdout, err := output.NewPipe(queue)
	if err != nil {
		stderr.Close()
		queue.Close()
		return childOutput{}, err
	}
	return childOutput{stdout.File, stderr.File, func() {
		stdout.Close()
		stderr.Close()
		queue.Close()
	}}, nil
}

// directOutput is for the child of `elect -child`: the standard streams of this program themselves. What it prints may be data,
// which must not be dropped, and nothing waits for it.
func (p *program) directOutput() childOutput { return childOutput{p.stdout, p.stderr, func() {}} }

// reportDropped returns a function that logs how many lines of handlers were dropped, once in droppedInterval.
func reportDropped(log *slog.Logger) func(lines int) []byte {
	dropped, logged := 0, time.Time{}
	return func(lines int) []byte {
		if dropped += lines; time.Since(logged) >= droppedInterval {
			log.Warn("lines that handlers or hooks printed were dropped: nobody reads standard output, or they print too much",
				"event", "handler_lines_dropped", "lines", dropped)
			dropped, logged = 0, time.Now()
		}
		return nil
	}
}
