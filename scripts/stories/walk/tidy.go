package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resec/scripts/lab"
)

// fence is the least min-replicas-to-write that is a fence: over an operator's own setting it is that much lower.
const fence = math.MaxInt32 - 1024

// tidy returns nil if no fence is left, and Consul holds one session and one key of each member, all of them alive.
func tidy(k *lab.Cluster) error {
	sessions, err := k.Sessions()
	if err != nil {
		return err
	}
	pairs, err := k.Keys()
	if err != nil {
		return err
	}
	var live, ids []string
	for _, s := range sessions {
		live = append(live, s.ID)
	}
	var held []string
	for _, p := range pairs {
		if id := path.Base(p.Key); strings.Contains(p.Key, "/members/") {
			ids = append(ids, id)
			held = append(held, p.Session)
		}
	}
	slices.Sort(held)
	switch {
	case len(live) != len(k.Redis):
		err = fmt.Errorf("%d agents have %d sessions: %v", len(k.Redis), len(live), live)
	case len(ids) != len(k.Redis):
		err = fmt.Errorf("%d members have keys, not %d: %v", len(ids), len(k.Redis), ids)
	case len(slices.Compact(held)) != len(ids) || slices.ContainsFunc(held, func(s string) bool { return !slices.Contains(live, s) }):
		err = fmt.Errorf("the members' keys %v are held by %v, not by one living session each of %v", ids, held, live)
	}
	return errors.Join(err, open(k))
}

// open returns nil if no Redis is fenced.
func open(k *lab.Cluster) error {
	return guards(k, func(n int) bool { return n < fence })
}

// guards returns nil if the min-replicas-to-write of every Redis is as it should be.
func guards(k *lab.Cluster, good func(int) bool) error {
	for _, r := range k.Redis {
		v, err := r.Do("CONFIG", "GET", "min-replicas-to-write")
		if err != nil {
			return err
		}
		words := strings.Fields(strings.Trim(v, "[]"))
		n, err := strconv.Atoi(words[len(words)-1])
		if err != nil || !good(n) {
			return errors.Join(err, fmt.Errorf("%s has %s", r.Name, v))
		}
	}
	return nil
}

// leave stops all agents, at the same time or one after the other, and returns what they left behind.
func leave(k *lab.Cluster, atOnce bool) error {
	errs := make([]error, len(k.Agents))
	var all sync.WaitGroup
	for i, a := range k.Agents {
		all.Go(func() { errs[i] = left(a) })
		if !atOnce {
			all.Wait()
		}
	}
	all.Wait()
	for _, a := range k.Agents {
		errs = append(errs, a.Sane())
	}
	return errors.Join(errors.Join(errs...), lab.Until(context.Background(), 10*time.Second, func() error {
		return errors.Join(nothing(k), guards(k, func(n int) bool { return n == 0 })) // as it was found
	}))
}

// nothing returns nil if no session, no key but the state and no service is left.
func nothing(k *lab.Cluster) error {
	sessions, err := k.Sessions()
	if err != nil {
		return err
	}
	if len(sessions) > 0 {
		return fmt.Errorf("%d sessions are left, the first %s", len(sessions), sessions[0].ID)
	}
	pairs, err := k.Keys()
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if p.Session != "" || strings.Contains(p.Key, "/members/") {
			return fmt.Errorf("the key %s is left, held by %q", p.Key, p.Session)
		}
	}
	for _, role := range []string{"master", "slave"} {
		entries, err := k.Entries(k.Name+"-"+role, "")
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("%d entries of %s-%s are left", len(entries), k.Name, role)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
