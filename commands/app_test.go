package commands_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"resec/commands"
	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	bin, err := lab.Resec()
	expect.OK(t, err)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(bin)+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("RESEC", bin)
			return nil
		},
	})
}

// The README's table lists each flag of the program, with its variable and its default.
func TestREADME_ListsTheVariables(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(lab.Root(), "README.md"))
	expect.OK(t, err)
	var listed []string
	row := regexp.MustCompile("(?m)^\\| `-([a-z-]+)` \\| (?:`([A-Z_]+)`|–) \\| (?:`([^`]+)`|–) \\|")
	for _, m := range row.FindAllStringSubmatch(string(data), -1) {
		listed = append(listed, strings.Join(m[1:], " "))
	}
	var out strings.Builder
	if code := commands.Run(context.Background(), []string{"resec", "agent", "-h"}, strings.NewReader(""), &out,
		&out); code != 0 {
		t.Fatalf("help: exit %d", code)
	}
	var real []string
	for _, m := range regexp.MustCompile(`(?m)^   -([a-z-]+) +(?:value )?.*$`).FindAllStringSubmatch(out.String(), -1) {
		if m[1] == "help" {
			continue
		}
		var def, env string
		if d := regexp.MustCompile(`\(default: ([^()]*)\)( \[|$)`).FindStringSubmatch(m[0]); d != nil &&
			!strings.ContainsAny(d[1], "<'") {
			def = d[1]
		}
		if e := regexp.MustCompile(`\[\$(.*)\]`).FindStringSubmatch(m[0]); e != nil {
			env = e[1]
		}
		real = append(real, strings.Join([]string{m[1], env, def}, " "))
	}
	if d := cmp.Diff(real, listed); d != "" {
		t.Errorf("the README's table (-program +README):\n%s", d)
	}
}

// The README lists the exit codes of the commands.
func TestREADME_ListsTheExitCodes(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(lab.Root(), "README.md"))
	expect.OK(t, err)
	for _, line := range []string{"| 0 | done", "| 1 | bad usage", "| 2 | the handler", "| 3 | the lock",
		"| 4 | `elect -timeout`"} {
		if !strings.Contains(string(data), "\n"+line) {
			t.Errorf("the README's table of exit codes has no line %q", line)
		}
	}
}
