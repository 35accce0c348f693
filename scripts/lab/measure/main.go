// Command measure prints the size and the density of the Go code below folders of a checkout.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// manyFields is the number of fields above which a type is counted as large.
const manyFields = 15

func main() {
	root := flag.String("root", ".", "folder of the checkout")
	flag.Parse()
	if err := run(os.Stdout, *root, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// run prints a row for each folder that has Go code below those given, one for each of these with all below it, and the total.
func run(w io.Writer, root string, folders []string) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "folder\tfiles\tlines\tfuncs\tmedian\tp90\tmax\tdecisions/100\tlongest file\tlarge types\ttest:code\t")
	var total sums
	for _, folder := range folders {
		rooms, err := measure(root, folder)
		if err != nil {
			return err
		}
		var sum sums
		for _, room := range rooms {
			room.print(tab)
			sum.add(room)
		}
		sum.name = folder + "/…"
		sum.print(tab)
		total.add(sum)
	}
	total.name = "total"
	total.print(tab)
	return tab.Flush()
}

// measure returns the sums of each folder at and below the one given, in order of their names.
func measure(root, folder string) ([]sums, error) {
	rooms := map[string]*sums{}
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		name, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if rooms[name] == nil {
			rooms[name] = &sums{name: name}
		}
		f, err := parse(path)
		if err == nil {
			rooms[name].addFile(f)
		}
		return err
	})
	var out []sums
	for _, s := range rooms {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b sums) int { return strings.Compare(a.name, b.name) })
	return out, err
}

// sums are the figures of one folder or of several.
type sums struct {
	name                             string
	files, lines, testLines          int
	codeLines, decisions, largeTypes int
	functions                        []int // lines of each
	longest                          int   // lines of the longest file
	longestName                      string
}

func (s *sums) addFile(f file) {
	if f.test {
		s.testLines += f.lines
		return
	}
	s.add(sums{files: 1, lines: f.lines, codeLines: f.codeLines, decisions: f.decisions, largeTypes: f.largeTypes,
		functions: f.functions,
		longest:   f.lines, longestName: f.name})
}

func (s *sums) add(o sums) {
	s.files += o.files
	s.lines += o.lines
	s.testLines += o.testLines
	s.codeLines += o.codeLines
	s.decisions += o.decisions
	s.largeTypes += o.largeTypes
	s.functions = append(s.functions, o.functions...)
	if o.longest > s.longest {
		s.longest, s.longestName = o.longest, o.longestName
	}
}

// print writes one row. A ratio without code is shown as 0.
func (s *sums) print(w io.Writer) {
	slices.Sort(s.functions)
	ratio := func(a, b int) float64 { return float64(a) / float64(max(1, b)) }
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d %s\t%d\t%.2f\t\n", s.name, s.files, s.lines, len(s.functions),
		quantile(s.functions, 50), quantile(s.functions, 90), quantile(s.functions, 100), 100*ratio(s.decisions, s.codeLines),
		s.longest, s.longestName, s.largeTypes, ratio(s.testLines, s.lines))
}

// quantile is the p-th percentile of sorted numbers, by the nearest rank.
func quantile(sorted []int, p int) int {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
