package commands

import (
	"encoding/json"
	"fmt"
	"io"
)

// jsonFlag is the flag of a subcommand that prints its result as JSON.
func jsonFlag(p *bool) setting { return toggle(p, "json", "false", "print JSON") }

// printJSON prints a value as JSON, for people, too.
func printJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// done prints the result of what a subcommand has changed. What stdout does not take is printed to stderr, and is no error: the
// exit code says whether the change was made.
func (p *program) done(format string, args ...any) {
	result := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(p.out, result); err != nil {
		fmt.Fprintf(p.log, "resec: %s (stdout: %v)\n", result, err)
	}
}

// doneJSON is done with the result as JSON.
func (p *program) doneJSON(result any) error {
	printed, err := json.MarshalIndent(result, "", "  ")
	if err == nil {
		p.done("%s", printed)
	}
	return err
}
