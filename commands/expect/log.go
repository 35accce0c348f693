package expect

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// Log is a log that may be read while it is written.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns what was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Reset forgets what was written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// Count returns an error unless the text was written so many times.
func (l *Log) Count(text string, want int) error {
	all := l.String()
	if n := strings.Count(all, text); n != want {
		return fmt.Errorf("%q was logged %d times, want %d:\n%s", text, n, want, all)
	}
	return nil
}
