package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"resec/handlers"
)

// secretFlags are the flags whose values must not be seen in a list of processes.
var secretFlags = []string{"redis-password", "redis-replication-password", "sentinel-password", "token"}

// Hide returns a copy of a command line, and overwrites the secrets in the original, which the system shows in its list of
// processes. Until then they can be seen there, so an environment variable or a file is safer.
func Hide(args []string) []string {
	copied := make([]string, len(args))
	for i, arg := range args {
		copied[i] = strings.Clone(arg)
	}
	for i, arg := range copied {
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || !slices.Contains(secretFlags, name) {
			continue
		}
		if hasValue {
			overwrite(args[i][len(arg)-len(value):])
		} else if i+1 < len(args) {
			overwrite(args[i+1])
		}
	}
	return copied
}

// overwrite changes a string in memory: os.Args is the memory that the system shows.
func overwrite(s string) {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for i := range b {
		b[i] = '*'
	}
}

// warnWithheld logs each secret in the environment that is not passed to handlers: a handler that runs resec itself may need it.
func (c *config) warnWithheld() {
	for _, name := range handlers.Withheld {
		if os.Getenv(name) != "" {
			c.log.Warn("a secret is not passed to handlers; a handler that needs it must read the file that its variable names",
				"event", "secret_withheld", "variable", name)
		}
	}
}

const (
	maxSecret = 4 << 10 // bytes: more than any password, and less than most files that are no secret
	maxFile   = 1 << 20 // bytes
)

// readSecret reads a file of one line. It returns an error without the path if the file cannot be opened: the path may be the
// secret itself, given to the wrong variable.
func readSecret(path string) (string, error) {
	data, err := readFile(path)
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return "", fmt.Errorf("takes a file of one line: %w", pathError.Err)
	}
	if err != nil {
		return "", err
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 || len(data) > maxSecret || bytes.ContainsAny(data, "\r\n") {
		return "", fmt.Errorf("%s: takes a file of one line of at most %d bytes", path, maxSecret)
	}
	if fault := textFault(string(data)); fault != "" {
		return "", fmt.Errorf("%s: takes a file of one line, without %s", path, fault)
	}
	return string(data), nil
}

// readFile reads the first megabyte of a file. It has no deadline of its own, so after the start it is called by reloading
// alone. It returns an error if the file cannot be read.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
