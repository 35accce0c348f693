// Command examples reads the deployment examples with what the tools themselves read them with, and writes what they say to run as
// JSON: `examples compose FILE`, `examples dockerfile FILE`, `examples nomad FILE [NAME=VALUE…]`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/zclconf/go-cty/cty"
)

// A task is one process.
type task struct {
	Name string            `json:"name"`
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
	Wait string            `json:"wait,omitempty"`
	Lead bool              `json:"lead,omitempty"` // it is stopped first
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	if len(args) < 2 {
		return fmt.Errorf("usage: examples compose|dockerfile|nomad FILE [NAME=VALUE…]")
	}
	var out any
	switch args[0] {
	case "compose":
		out, err = compose(args[1])
	case "dockerfile":
		out, err = dockerfile(args[1])
	case "nomad":
		out, err = nomad(args[1], args[2:])
	default:
		err = fmt.Errorf("%q is none of them", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// compose loads a file as Docker Compose does.
func compose(file string) (out []task, err error) {
	opt, err := cli.NewProjectOptions([]string{file}, cli.WithName("resec"))
	if err != nil {
		return nil, err
	}
	p, err := opt.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		t := task{Name: name, Args: s.Command, Env: map[string]string{}}
		for k, v := range s.Environment {
			if v != nil {
				t.Env[k] = *v
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// dockerfile is each stage's instructions, as BuildKit parses them.
func dockerfile(file string) (out [][]string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	res, err := parser.Parse(f)
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(res.AST, nil)
	if err != nil {
		return nil, err
	}
	for _, s := range stages {
		lines := []string{"FROM " + s.BaseName}
		for _, c := range s.Commands {
			if r, ok := c.(*instructions.RunCommand); ok {
				lines = append(lines, "RUN "+strings.Join(r.CmdLine, " "))
				continue
			}
			lines = append(lines, fmt.Sprint(c))
		}
		out = append(out, lines)
	}
	return out, nil
}

// nomad evaluates a job's tasks with the variables of one allocation. Nomad's own parser is not free software: this knows HCL, and
// what of a job it needs.
func nomad(file string, vars []string) (out []task, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f, diags := hclsyntax.ParseConfig(data, file, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		set(ctx.Variables, strings.Split(name, "."), value)
	}
	walk(f.Body.(*hclsyntax.Body), "task", func(b *hclsyntax.Block) {
		t := task{Name: b.Labels[0], Env: map[string]string{}}
		for name, a := range b.Body.Attributes {
			v, d := a.Expr.Value(ctx)
			if diags = append(diags, d...); d.HasErrors() {
				continue
			}
			switch name {
			case "leader":
				t.Lead = v.True()
			case "kill_timeout":
				t.Wait = v.AsString()
			}
		}
		for _, in := range b.Body.Blocks {
			for name, a := range in.Body.Attributes {
				v, d := a.Expr.Value(ctx)
				if diags = append(diags, d...); d.HasErrors() {
					continue
				}
				switch {
				case in.Type == "env":
					t.Env[name] = v.AsString()
				case in.Type == "config" && name == "command":
					t.Args = append([]string{v.AsString()}, t.Args...)
				case in.Type == "config" && name == "args":
					for _, e := range v.AsValueSlice() {
						t.Args = append(t.Args, e.AsString())
					}
				}
			}
		}
		out = append(out, t)
	})
	if diags.HasErrors() {
		return nil, diags
	}
	return out, nil
}

// set sets a variable with dots in its name.
func set(vars map[string]cty.Value, path []string, value string) {
	if len(path) == 1 {
		vars[path[0]] = cty.StringVal(value)
		return
	}
	inner := map[string]cty.Value{}
	if v, ok := vars[path[0]]; ok {
		inner = v.AsValueMap()
	}
	set(inner, path[1:], value)
	vars[path[0]] = cty.ObjectVal(inner)
}

// walk finds blocks of a type, at any depth.
func walk(b *hclsyntax.Body, kind string, found func(*hclsyntax.Block)) {
	for _, in := range b.Blocks {
		if in.Type == kind {
			found(in)
		}
		walk(in.Body, kind, found)
	}
}
