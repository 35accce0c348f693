package commands_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

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
