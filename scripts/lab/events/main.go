// Command events checks the log lines of Go code. Each has a constant message, and as its first attribute "event"
// with a constant name. One name goes with one message, and one message with one name.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	c := checker{set: token.NewFileSet(), messages: map[string]line{}, names: map[string]line{}}
	for _, folder := range os.Args[1:] {
		if err := c.folder(folder); err != nil {
			fmt.Fprintln(os.Stderr, "events:", err)
			os.Exit(2)
		}
	}
	for _, p := range c.problems {
		fmt.Println(p)
	}
	if len(c.problems) > 0 {
		os.Exit(1)
	}
}

// line is a log line: its message and the name of its event.
type line struct{ message, event, at string }

type checker struct {
	set      *token.FileSet
	messages map[string]line // by event
	names    map[string]line // by message
	problems []string
}

// folder checks all files below a folder but tests.
func (c *checker) folder(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return c.file(path, src)
	})
}

// file checks one file. It returns an error if it is no Go.
func (c *checker) file(path string, src []byte) error {
	tree, err := parser.ParseFile(c.set, path, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if args, ok := logArgs(call); ok && !call.Ellipsis.IsValid() {
			at := c.set.Position(call.Pos())
			c.call(args, fmt.Sprintf("%s:%d", at.Filename, at.Line))
		}
		return true
	})
	return nil
}

// before is the number of arguments before the message, for each method of slog.Logger that logs.
var before = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "Log": 2,
}

// logger is what the name of a logger ends with.
var logger = regexp.MustCompile(`(?i)(log|logger)$`)

// logArgs returns the arguments of a log call from the message on, and whether the call is one.
func logArgs(call *ast.CallExpr) ([]ast.Expr, bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !logger.MatchString(lastName(method.X)) {
		return nil, false
	}
	skip, ok := before[method.Sel.Name]
	if !ok || len(call.Args) <= skip {
		return nil, false
	}
	return call.Args[skip:], true
}

// lastName is the name of a variable or field, or the last of a chain such as a.Log or cfg.log.With(…).
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if e.Sel.Name == "With" {
			return lastName(e.X)
		}
		return e.Sel.Name
	case *ast.CallExpr:
		return lastName(e.Fun)
	}
	return ""
}

// eventName is what the name of an event looks like.
var eventName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// call checks the arguments of one log line.
func (c *checker) call(args []ast.Expr, at string) {
	message, ok := text(args[0])
	if !ok {
		c.problem(at, "the message is no constant text")
		return
	}
	if len(args) < 3 {
		c.problem(at, "%q has no event", message)
		return
	}
	key, _ := text(args[1])
	event, ok := text(args[2])
	if key != "event" || !ok || !eventName.MatchString(event) {
		c.problem(at, `the first attribute of %q is not "event" with a name in snake_case`, message)
		return
	}
	l := line{message, event, at}
	if other, known := c.messages[event]; known && other.message != message {
		c.problem(at, "event %s has the message %q, and at %s %q", event, message, other.at, other.message)
	}
	if other, known := c.names[message]; known && other.event != event {
		c.problem(at, "message %q has the event %s, and at %s %s", message, event, other.at, other.event)
	}
	c.messages[event], c.names[message] = l, l
}

func (c *checker) problem(at, format string, args ...any) {
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, args...))
}

// text is the value of a string literal, or of several that are added, and whether the expression is that.
func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok1 := text(e.X)
		right, ok2 := text(e.Y)
		return left + right, ok1 && ok2 && e.Op == token.ADD
	}
	return "", false
}
