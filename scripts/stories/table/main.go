// Command table reads what `go test -json` wrote of the stories, and prints how each of them did.
//
//	table -count FILE   how many variants ran
//	table FOLDER        a table of all *.json in the folder; what a failed run said goes to a file there. Exit 1 if any failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	count := flag.Bool("count", false, "print the number of runs in a file")
	flag.Parse()
	failed, err := run(*count, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

func run(count bool, path string) (failed bool, err error) {
	if count {
		runs, err := read(path)
		fmt.Println(len(runs))
		return false, err
	}
	files, err := filepath.Glob(filepath.Join(path, "*.json"))
	if err != nil {
		return false, err
	}
	var all []result
	for _, f := range files {
		runs, err := read(f)
		if err != nil {
			return false, fmt.Errorf("read %s: %w", f, err)
		}
		all = append(all, runs...)
	}
	write(os.Stdout, all)
	writeFigures(os.Stdout, all)
	return tell(os.Stdout, path, all)
}

// result is one run of one variant.
type result struct {
	test    string
	failed  bool
	seconds float64
	output  string
}

func (r result) story() string {
	story, _, _ := strings.Cut(strings.TrimPrefix(r.test, "Test"), "/")
	return strings.Replace(story, "_", " ", 1)
}

// event is a line of `go test -json`.
type event struct {
	Action, Test, Output string
	Elapsed              float64
}

// read returns the runs of the variants: of the tests without tests below them. One that has not ended, for the whole
// process did, has failed.
func read(path string) ([]result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var runs []result
	parents, open := map[string]bool{}, map[string]*result{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue // the last line may be cut off; what has no test is the package's
		}
		switch r := open[e.Test]; e.Action {
		case "run":
			open[e.Test] = &result{test: e.Test}
			if i := strings.LastIndex(e.Test, "/"); i > 0 {
				parents[e.Test[:i]] = true
			}
		case "output":
			if r != nil {
				r.output += e.Output
			}
		case "pass", "fail":
			if r != nil {
				r.failed, r.seconds = e.Action == "fail", e.Elapsed
				runs = append(runs, *r)
				delete(open, e.Test)
			}
		}
	}
	for _, r := range open {
		r.failed, r.output = true, r.output+"it did not end\n"
		runs = append(runs, *r)
	}
	return slices.DeleteFunc(runs, func(r result) bool { return parents[r.test] }), lines.Err()
}

// write draws the table.
func write(w io.Writer, all []result) {
	by := map[string][]result{}
	for _, r := range all {
		by[r.story()] = append(by[r.story()], r)
	}
	var names []string
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "story\truns\tfailed\tmedian s\tworst s")
	for _, name := range names {
		var seconds []float64
		failed := 0
		for _, r := range by[name] {
			seconds = append(seconds, r.seconds)
			if r.failed {
				failed++
			}
		}
		slices.Sort(seconds)
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%.1f\n", name, len(seconds), failed, seconds[len(seconds)/2], seconds[len(seconds)-1])
	}
	_ = t.Flush()
}

// tell writes the output of each failed run to a file of its own.
func tell(w io.Writer, folder string, all []result) (failed bool, err error) {
	nth := map[string]int{}
	for _, r := range all {
		if !r.failed {
			continue
		}
		nth[r.test]++
		name := strings.Map(func(c rune) rune {
			if strings.ContainsRune("/,' ", c) {
				return '-'
			}
			return c
		}, r.test)
		file := filepath.Join(folder, fmt.Sprintf("%s.%d.log", name, nth[r.test]))
		if err := os.WriteFile(file, []byte(r.output), 0o644); err != nil {
			return true, err
		}
		fmt.Fprintf(w, "failed: %s: %s\n", r.test, file)
	}
	return len(nth) > 0, nil
}
