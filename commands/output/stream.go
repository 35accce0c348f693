package output

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// ErrNobodyReads is returned for a write that was given up.
var ErrNobodyReads = errors.New("nobody reads the output")

// Stream is a stream that a person or a program reads. A write waits for its reader until the context has ended for FlushTimeout,
// so that a signal ends a command whose output nobody reads. It belongs to one goroutine; each write has one more, which a write
// that was given up leaves behind.
type Stream struct {
	ctx  context.Context
	to   io.Writer
	last <-chan error // the result of a write that was given up; nil: there is none
}

// NewStream returns a stream.
func NewStream(ctx context.Context, to io.Writer) *Stream { return &Stream{ctx: ctx, to: to} }

// Write writes p. It returns ErrNobodyReads if it was given up.
func (s *Stream) Write(p []byte) (int, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, func() {
		select {
		case <-ctx.Done():
		case <-time.After(FlushTimeout):
			cancel()
		}
	})()
	return s.write(ctx, p)
}

// WriteWithin writes p as Write does, and gives up after a time.
func (s *Stream) WriteWithin(limit time.Duration, p []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	_, err := s.write(ctx, p)
	return err
}

// write waits for a write that was given up, too: otherwise p could overtake it.
func (s *Stream) write(ctx context.Context, p []byte) (int, error) {
	if s.last != nil {
		if s.ctx.Err() != nil { // it was waited for already
			ended, cancel := context.WithCancel(ctx)
			cancel()
			ctx = ended
		}
		select {
		case <-s.last:
			s.last = nil
		case <-ctx.Done():
			return 0, ErrNobodyReads
		}
	}
	data, done := bytes.Clone(p), make(chan error, 1)
	go func() {
		_, err := s.to.Write(data)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return 0, err
		}
		return len(p), nil
	case <-ctx.Done():
		s.last = done
		return 0, ErrNobodyReads
	}
}
