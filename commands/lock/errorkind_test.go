package lock

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorKind(t *testing.T) {
	for _, same := range [][2]string{
		{"read tcp 127.0.0.1:4242->10.0.0.1:8500: connection reset", "read tcp 127.0.0.1:51234->10.0.0.1:8500: connection reset"},
		{"invalid session 9a37c3f4-0000-1111-2222-333344445555", "invalid session 00000000-aaaa-bbbb-cccc-ddddeeeeffff"},
	} {
		if a, b := ErrorKind(errors.New(same[0])), ErrorKind(fmt.Errorf("%s", same[1])); a != b {
			t.Errorf("%q is not %q", a, b)
		}
	}
	if ErrorKind(errors.New("connection refused")) == ErrorKind(errors.New("connection reset")) {
		t.Error("two faults are one kind")
	}
	if ErrorKind(nil) != "" {
		t.Error("no error is a kind")
	}
}
