package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// file is the figures of one Go file.
type file struct {
	name                             string
	test                             bool
	lines                            int
	codeLines, decisions, largeTypes int
	functions                        []int // lines of each, with its signature
}

// parse measures a file. It returns an error if the file cannot be read or is no Go.
func parse(path string) (file, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	return figures(filepath.Base(path), src)
}

func figures(name string, src []byte) (file, error) {
	f := file{name: name, test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(src, []byte("\n")),
		codeLines: codeLines(src)}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		f.decisions += decisions(n)
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.functions = append(f.functions, set.Position(n.End()).Line-set.Position(n.Pos()).Line+1)
		case *ast.StructType:
			if n.Fields.NumFields() > manyFields {
				f.largeTypes++
			}
		}
		return true
	})
	return f, nil
}

// decisions is how many decisions a node is: if, for, a case that is not the default, && and ||.
func decisions(n ast.Node) int {
	yes := false
	switch n := n.(type) {
	case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
		yes = true
	case *ast.CaseClause:
		yes = n.List != nil
	case *ast.CommClause:
		yes = n.Comm != nil
	case *ast.BinaryExpr:
		yes = n.Op == token.LAND || n.Op == token.LOR
	}
	if yes {
		return 1
	}
	return 0
}

// codeLines is the number of lines that have more than blanks and comments.
func codeLines(src []byte) int {
	set := token.NewFileSet()
	f := set.AddFile("", set.Base(), len(src))
	var s scanner.Scanner
	s.Init(f, src, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // inserted at the end of a line
		}
		first := f.Line(pos)
		for i := range 1 + strings.Count(text, "\n") {
			lines[first+i] = true
		}
	}
}
