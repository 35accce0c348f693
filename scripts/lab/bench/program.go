package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"resec/scripts/lab"
)

// program is what is to be measured.
type program struct {
	scenarios []scenario
	systems   []system
	runs      int
	traced    bool // the agents' log lines of each fault are printed
	inTurns   bool // each run of one system is followed by one of the next; otherwise all runs of one come first
}

// choose: a quick run takes what is worth most in minutes.
func choose(quick bool, runs int, only, of string) (p program, err error) {
	p.runs = 5
	if quick {
		p.runs = 1
	}
	if runs > 0 {
		p.runs = runs
	}
	names, err := regexp.Compile(only)
	if err != nil {
		return p, fmt.Errorf("-only takes a regular expression of scenarios: %w", err)
	}
	what, err := regexp.Compile(of)
	if err != nil {
		return p, fmt.Errorf("-systems takes a regular expression of systems: %w", err)
	}
	for _, sc := range scenarios {
		if names.MatchString(sc.name) && (!quick || sc.quick) {
			p.scenarios = append(p.scenarios, sc)
		}
	}
	for _, s := range systems {
		if what.MatchString(s.name) && (!quick || s.downAfter <= systems[2].downAfter) {
			p.systems = append(p.systems, s)
		}
	}
	if len(p.scenarios) == 0 || len(p.systems) == 0 {
		return p, errors.New("no such scenario or system")
	}
	return p, nil
}

// outcome is all runs of one scenario with one system.
type outcome struct {
	Scenario string    `json:"scenario"`
	Says     string    `json:"says"`
	System   string    `json:"system"`
	Runs     []figures `json:"runs"`
	Failed   []string  `json:"failed,omitempty"`
}

// compare measures another resec in turns with this one, if its path is not empty.
func (p *program) compare(path string) error {
	if path == "" {
		return nil
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = exec.LookPath(path)
	}
	if err != nil {
		return fmt.Errorf("-against takes the path of a resec program: %w", err)
	}
	p.systems, p.inTurns = []system{systems[0], {name: "the other resec", program: path}}, true
	return nil
}

// run measures each scenario with each system.
func (p program) run(ctx context.Context, l *lab.Lab) (all []*outcome, err error) {
	for _, sc := range p.scenarios {
		var series []*series
		for _, sys := range p.systems {
			if !sc.alone || sys.ours() {
				series = append(series, newSeries(l, sc, sys, p.traced && sys.ours()))
			}
		}
		p.runAll(ctx, series)
		for _, s := range series {
			all = append(all, &s.outcome)
		}
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
	}
	for _, o := range all {
		if len(o.Failed) > 0 {
			err = errors.Join(err, fmt.Errorf("%s, %s: %s", o.Scenario, o.System, strings.Join(o.Failed, "; ")))
		}
	}
	return all, err
}

// runAll makes all runs of one scenario.
func (p program) runAll(ctx context.Context, all []*series) {
	if !p.inTurns {
		for _, s := range all {
			s.run(ctx, p.runs)
			s.close()
		}
		return
	}
	for range p.runs {
		for _, s := range all {
			s.run(ctx, 1)
		}
	}
	for _, s := range all {
		s.close()
	}
}

// series is all runs of one scenario with one system, on one cluster, or on a new one if the last did not recover.
type series struct {
	outcome
	parent, lab *lab.Lab
	scenario    scenario
	system      system
	traced      bool
	subject     *subject // nil: a new one is needed
}

func newSeries(parent *lab.Lab, sc scenario, sys system, traced bool) *series {
	return &series{outcome: outcome{Scenario: sc.name, Says: sc.says, System: sys.name}, parent: parent, scenario: sc, system: sys,
		traced: traced}
}

// close ends the cluster.
func (s *series) close() {
	if s.lab != nil {
		s.lab.Close()
		s.lab, s.subject = nil, nil
	}
}

// run makes so many runs.
func (s *series) run(ctx context.Context, runs int) {
	for range runs {
		if ctx.Err() != nil {
			return
		}
		var err error
		if s.subject == nil {
			s.lab, s.subject, err = fresh(s.parent, s.system, s.scenario.network)
		}
		var f figures
		if err == nil {
			s.subject.traced = s.traced
			f, err = measure(ctx, s.subject, s.scenario)
		}
		if err != nil {
			s.Failed = append(s.Failed, err.Error())
			s.close()
			continue
		}
		fmt.Fprintf(os.Stderr, "%-11s %-15s outage %8.0f ms, found after %8.0f, lost %d of %d, two %.0f ms, noise %.0f\n",
			s.scenario.name, s.system.name, f.Outage, f.Discovery, f.Lost, f.Acked, f.Two, f.Noise)
		s.Runs = append(s.Runs, f)
	}
}

// fresh is a cluster in a lab of its own.
func fresh(parent *lab.Lab, sys system, network bool) (*lab.Lab, *subject, error) {
	dir, err := os.MkdirTemp(parent.Dir, "run-")
	if err != nil {
		return nil, nil, err
	}
	l := lab.New(dir)
	var consul *lab.Consul
	if !network {
		if consul, err = l.StartConsul("consul", nil); err != nil {
			l.Close()
			return nil, nil, err
		}
	}
	s, err := prepare(l, consul, sys, network)
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return l, s, nil
}
