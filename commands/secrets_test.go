package commands

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, want, err string }{
		{"one line", "secret\n", "secret", ""},
		{"without an end of line", "secret", "secret", ""},
		{"with the end of line of Windows", "secret\r\n", "secret", ""},
		{"blanks inside belong to it", "a b\n", "a b", ""},
		{"a blank at its end", "a b \n", "", "takes a file of one line, without blanks at an end"},
		{"quotes around it", "\"secret\"\n", "", "takes a file of one line, without the quotes around it"},
		{"a tab", "a\tb\n", "", "takes a file of one line, without the control character"},
		{"the longest", strings.Repeat("x", maxSecret), strings.Repeat("x", maxSecret), ""},
		{"a longer one", strings.Repeat("x", maxSecret+1), "", "takes a file of one line of at most 4096 bytes"},
		{"two lines", "a\nb\n", "", "takes a file of one line of at most 4096 bytes"},
		{"an empty file", "", "", "takes a file of one line of at most 4096 bytes"},
		{"an empty line", "\n", "", "takes a file of one line of at most 4096 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "secret")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readSecret(file)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
	const secret = "my-secret-instead-of-a-path"
	_, err := readSecret(filepath.Join(dir, secret))
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want os.ErrNotExist without the path", err)
	}
	if _, err := readSecret(dir); err == nil {
		t.Error("a folder is read as a secret")
	}
}

func TestHide(t *testing.T) {
	for _, tt := range []struct{ name, args, want string }{
		{"a value of its own", "resec agent -redis-password secret -token abc", "resec agent -redis-password ****** -token ***"},
		{"a value behind =",
			"resec agent --redis-replication-password=secret", "resec agent --redis-replication-password=******"},
		{"a value that contains =", "resec -token=a=b", "resec -token=***"},
		{"other flags", "resec agent -redis-addr host:1 password", "resec agent -redis-addr host:1 password"},
		{"an argument that is no flag", "resec token abc", "resec token abc"},
		{"a flag without a value", "resec -token", "resec -token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(strings.Clone(tt.args))
			for i := range args {
				args[i] = strings.Clone(args[i])
			}
			copied := Hide(args)
			if got := strings.Join(copied, " "); got != tt.args {
				t.Errorf("the copy is %q, want %q", got, tt.args)
			}
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("the original is %q, want %q", got, tt.want)
			}
		})
	}
}
