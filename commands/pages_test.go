package commands

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/httpapi"
	"resec/commands/metrics"
	"resec/commands/proxy"
	"resec/commands/status"
	"resec/handlers"
	"resec/scripts/lab"
)

const referencePage = "commands/README.md"

// page is the text of a page.
func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), name))
	expect.OK(t, err)
	return string(data)
}

// found are the first groups of all matches, each once, sorted.
func found(text, pattern string) (all []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// pages are all pages of the repository.
func pages(t *testing.T) (names []string) {
	t.Helper()
	out, err := exec.Command("git", "-C", lab.Root(), "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	expect.OK(t, err)
	names = strings.Fields(string(out))
	if len(names) < 10 {
		t.Fatalf("only %v", names)
	}
	return names
}

// The reference lists each flag of the agent, with its variable and its default, in the order of the help.
func TestPages_Variables(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `-([a-z-]+)` \\| (?:`([A-Z_]+)`|–) \\| (?:`([^`]+)`|–) \\|")
	var listed, real []string
	for _, m := range row.FindAllStringSubmatch(page(t, referencePage), -1) {
		listed = append(listed, strings.Join(m[1:], " "))
	}
	for _, s := range new(config).settings(agentGroups | forProxy) {
		real = append(real, strings.Join([]string{s.name, s.env, s.def}, " "))
	}
	if d := cmp.Diff(real, listed); d != "" {
		t.Errorf("the table of %s (-program +page):\n%s", referencePage, d)
	}
}

// The reference has a section for each subcommand, and its exit codes.
func TestPages_Subcommands(t *testing.T) {
	text := page(t, referencePage)
	headings := strings.Join(found(text, "(?m)^### (resec .*)$"), "\n")
	for _, c := range (&program{}).commands() {
		if !regexp.MustCompile("(?m)\\bresec " + c.Name + "\\b").MatchString(headings) {
			t.Errorf("%s has no section on resec %s", referencePage, c.Name)
		}
	}
	for code, says := range map[int]string{exitOK: "done", exitUsage: "bad usage", exitHandler: "the handler", exitLost: "the lock",
		exitTimeout: "`elect -timeout`"} {
		if line := fmt.Sprintf("\n| %d | %s", code, says); !strings.Contains(text, line) {
			t.Errorf("the table of exit codes has no line %q", line)
		}
	}
}

// The reference lists each metric, and no other; so do the other pages.
func TestPages_Metrics(t *testing.T) {
	m := metrics.New()
	m.HookFailed("promote")
	m.Step("step", time.Millisecond)
	n := int64(1)
	w := httptest.NewRecorder()
	m.Serve(w, httptest.NewRequest("GET", "/metrics", nil), metrics.Now{Role: "master", Term: 1, Offset: &n, Behind: &n,
		Refusals: map[string]bool{"disk": true}})
	real := append(found(w.Body.String(), "(?m)^# TYPE (resec_[a-z_]+) "), proxyMetrics()...)
	slices.Sort(real)
	if d := cmp.Diff(real, found(page(t, referencePage), "(?m)^\\| `(resec_[a-z_]+)` \\|")); d != "" {
		t.Errorf("the table of %s (-program +page):\n%s", referencePage, d)
	}
	nameOnly(t, real, "`(resec_[a-z_]+)")
}

// proxyMetrics are the names of a proxy's metrics.
func proxyMetrics() []string {
	described := make(chan *prometheus.Desc, 100)
	(&proxy.Proxy{}).Describe(described)
	close(described)
	var text strings.Builder
	for d := range described {
		fmt.Fprintln(&text, d)
	}
	return found(text.String(), `fqName: "(resec_[a-z_]+)"`)
}

// nameOnly fails the test if a page names, by the first group of the pattern, what is not real.
func nameOnly(t *testing.T, real []string, pattern string) {
	t.Helper()
	for _, name := range pages(t) {
		for _, named := range found(page(t, name), pattern) {
			if !slices.Contains(real, named) {
				t.Errorf("%s names %s, which the program does not have", name, named)
			}
		}
	}
}

// The reference lists each path that an agent answers by HTTP, and no other; no page names another one.
func TestPages_HTTPPaths(t *testing.T) {
	real := httpapi.Paths()
	if d := cmp.Diff(real, found(page(t, referencePage), "(?m)^\\| `(/[a-z]+)[`,]")); d != "" {
		t.Errorf("the table of %s (-program +page):\n%s", referencePage, d)
	}
	nameOnly(t, real, "`(?:GET )?(/[a-z]+)(?:\\?[a-z_]+=[^`]*)?` (?:answers|is 503|is 200|says)")
}

// fieldsOf are the names in the JSON of a type, with those of the types in it.
func fieldsOf(of reflect.Type) (names []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return nil
	}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
			continue
		case name != "":
			names = append(names, name)
		}
		names = append(names, fieldsOf(f.Type)...)
	}
	return names
}

// The JSON contract has each field of what -json prints.
func TestPages_JSON(t *testing.T) {
	text := page(t, referencePage)
	_, contract, found := strings.Cut(text, "\n## The JSON contract")
	if !found {
		t.Fatal("there is no JSON contract")
	}
	for _, of := range []any{status.Report{}, cluster.Change{}, failoverReport{}, cluster.Pause{}, buildInfo{}, handlers.Result{}} {
		names := fieldsOf(reflect.TypeOf(of))
		if len(names) == 0 {
			t.Errorf("%T has no fields", of)
		}
		for _, name := range names {
			if !regexp.MustCompile("`(\\w+\\.)*" + name + "`|\"" + name + "\":").MatchString(contract) {
				t.Errorf("the JSON contract does not have %q of %T", name, of)
			}
		}
	}
}

// Each test that a page names exists.
func TestPages_Tests(t *testing.T) {
	out, err := exec.Command("git", "-C", lab.Root(), "grep", "-hoE", "^func (Test|Fuzz)[A-Za-z0-9_]+", "--", "*_test.go").Output()
	expect.OK(t, err)
	real := found(string(out), "func (.*)")
	for _, name := range pages(t) {
		for _, test := range found(page(t, name), "`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]+)[`/]") {
			if !slices.Contains(real, test) {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
	}
}

// anchor is what a heading is linked as.
func anchor(heading string) string {
	heading = regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(heading, " ", "-")
}

// Each relative link leads to a file, and to a heading that is there.
func TestPages_Links(t *testing.T) {
	for _, name := range pages(t) {
		for _, link := range found(page(t, name), `\]\(([^)#]*(?:#[^)]*)?)\)`) {
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			to, fragment, _ := strings.Cut(link, "#")
			target := name
			if to != "" {
				target = filepath.Join(filepath.Dir(name), to)
			}
			if _, err := os.Stat(filepath.Join(lab.Root(), target)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, link)
				continue
			}
			if fragment == "" || !strings.HasSuffix(target, ".md") {
				continue
			}
			var anchors []string
			for _, heading := range found(page(t, target), "(?m)^#+ (.*)$") {
				anchors = append(anchors, anchor(heading))
			}
			if !slices.Contains(anchors, fragment) {
				t.Errorf("%s: the link %s leads to no heading", name, link)
			}
		}
	}
}

// The README is short, and so are its lines and sentences.
func TestPages_Readme(t *testing.T) {
	const lines, columns, words = 200, 120, 30
	text := page(t, lab.ReadmePage)
	if n := strings.Count(text, "\n"); n > lines {
		t.Errorf("it has %d lines, more than %d", n, lines)
	}
	prose := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
	for line := range strings.Lines(prose) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > columns {
			t.Errorf("a line has %d columns, more than %d: %s", n, columns, line)
		}
	}
	for _, paragraph := range regexp.MustCompile("\n(?:\n|[-#|0-9])").Split(prose, -1) {
		for _, sentence := range regexp.MustCompile(`[.:;?]\s`).Split(paragraph, -1) {
			if n := len(strings.Fields(sentence)); n > words {
				t.Errorf("a sentence has %d words, more than %d: %s", n, words, sentence)
			}
		}
	}
}

// What the help of a subcommand shows comes from one place.
func TestHelp(t *testing.T) {
	names := map[string]bool{}
	for _, c := range (&program{}).commands() {
		names[c.Name] = true
		var out strings.Builder
		printCommandHelp(&out, c)
		for _, want := range []string{"resec " + c.Name + " - ", "\nUsage: resec " + c.Name, "\nExample:\n  "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the help of %s has no %q:\n%s", c.Name, want, &out)
			}
		}
		if len(settingsOf(c)) > 10 && (!strings.Contains(out.String(), "\nRedis:\n  -") && !strings.Contains(out.String(), "\nConsul:\n  -") ||
			!strings.Contains(out.String(), "\nLogging:\n  -")) {
			t.Errorf("the help of %s has no topics:\n%s", c.Name, &out)
		}
	}
	for _, of := range []map[string]string{examples, exitCodes} {
		for name := range of {
			if !names[name] {
				t.Errorf("%s is no subcommand", name)
			}
		}
	}
	app := (&program{}).app()
	var out strings.Builder
	printAppHelp(&out, app)
	if n := strings.Count(out.String(), "\n"); n > 40 || strings.Contains(out.String(), "\n  -") {
		t.Errorf("the help has %d lines, or flags:\n%s", n, &out)
	}
}

// The results that are printed as JSON are what their types say.
func TestResults_AreJSON(t *testing.T) {
	var out strings.Builder
	expect.OK(t, printJSON(&out, build()))
	var b buildInfo
	expect.OK(t, json.Unmarshal([]byte(out.String()), &b))
	expect.Equal(t, "build", b, build())
}

// The JSON contract has each code of a reason, and no other.
func TestPages_Reasons(t *testing.T) {
	_, section, is := strings.Cut(page(t, referencePage), "\n### Reasons\n")
	if !is {
		t.Fatal("there is no section")
	}
	section, _, _ = strings.Cut(section, "\n### ")
	if d := cmp.Diff(slices.Sorted(slices.Values(status.ReasonCodes)), found(section, "(?m)^\\| `([a-z_]+)` \\|")); d != "" {
		t.Errorf("the table of reasons (-program +page):\n%s", d)
	}
}
