// Package watch runs Consul's own watch plans with what they lack: prompt retries, and a stop that cannot panic.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	consul "github.com/hashicorp/consul/api/watch"
	"github.com/hashicorp/go-hclog"
)

// An outage must be over for a watch within 2 s of Consul's return. A plan of its own backs off up to 3 minutes, so its
// Watcher is wrapped: it never fails. The longest pause (1 s) and the dial's timeout (1 s, in the client) are below 2 s.
const retryMin, retryMax = 50 * time.Millisecond, time.Second

// outage is what the wrapped Watcher answers instead of an error; it reaches no handler.
type outage struct{}

// Run watches until the context ends. The parameters are those of `consul watch` ("type", "service", …). fn gets each
// changed answer with its index, in order, one at a time; err hears of an outage once, and nil at its end.
func Run(ctx context.Context, client *api.Client, params map[string]any, fn func(index uint64, answer any), err func(error)) error {
	plan, parseErr := consul.Parse(params) // it consumes its map: params is the caller's last use
	if parseErr != nil {
		return fmt.Errorf("watch: %w", parseErr)
	}
	inner, failures := plan.Watcher, 0
	plan.Watcher = func(p *consul.Plan) (consul.BlockingParamVal, any, error) {
		val, answer, e := call(inner, p)
		if e == nil {
			if failures > 0 {
				err(nil)
			}
			failures = 0
			return val, answer, nil
		}
		if ctx.Err() == nil && failures == 0 {
			err(e)
		}
		failures++
		select {
		case <-ctx.Done():
		case <-time.After(backoff(failures)):
		}
		return consul.WaitIndexVal(0), outage{}, nil // index 0: the next query answers at once
	}
	plan.HybridHandler = func(val consul.BlockingParamVal, answer any) {
		index, _ := val.(consul.WaitIndexVal)
		if _, out := answer.(outage); !out && ctx.Err() == nil {
			fn(uint64(index), answer)
		}
	}
	done := make(chan error, 1)
	go func() { done <- plan.RunWithClientAndHclog(client, hclog.NewNullLogger()) }()
	select {
	case e := <-done:
		return e
	case <-ctx.Done():
		plan.Stop()
		return <-done
	}
}

// call guards against a stop that races the first query: the plan then calls a cancel function that it never set.
// Source: https://github.com/hashicorp/consul/issues/19020
func call(inner consul.WatcherFunc, p *consul.Plan) (val consul.BlockingParamVal, answer any, err error) {
	defer func() {
		if r := recover(); r != nil {
			if !p.IsStopped() {
				panic(r)
			}
			err = errors.New("stopped")
		}
	}()
	return inner(p)
}

func backoff(failures int) time.Duration {
	return min(retryMax, retryMin<<min(failures-1, 10))
}

// Log makes an err callback that says once that a watch has lost Consul, and once that it is back.
func Log(log *slog.Logger, what string) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("consul does not answer; what it said last stands", "watch", what, "err", err)
			return
		}
		log.Info("consul answers again", "watch", what)
	}
}
