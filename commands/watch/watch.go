// Package watch runs the watch plans of Consul's own package, with three additions: it retries within a second, it can be stopped
// at any time, and it reports an answer that has changed under an unchanged index. A plan of its own waits up to three minutes
// after an error, panics if it is stopped too early, and drops such an answer.
//
// Run starts one goroutine, which calls the callbacks, and joins it before it returns. Query repeats a blocking query for which
// Consul's package has no plan, in its caller's goroutine.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/hashicorp/consul/api"
	consul "github.com/hashicorp/consul/api/watch"
	"github.com/hashicorp/go-hclog"
)

// The pause after a failed query. A watch must have recovered within 2 s of Consul's return: the longest pause and the dial
// timeout of the client (1 s each) add up to that.
const retryMin, retryMax = 50 * time.Millisecond, time.Second

// Run watches until the context ends. The parameters are those of `consul watch` ("type", "service", …); Run empties the map. The
// callback onAnswer gets each changed answer with its index, in order, one at a time, and the first answer after an outage even
// if it is unchanged. The callback onOutage gets the error of the first query that failed, and nil when a query succeeds again.
// Run returns an error if the parameters are invalid, and nil at the end of the context.
func Run(ctx context.Context, client *api.Client, params map[string]any,
	onAnswer func(index uint64, answer any), onOutage func(error)) error {
	plan, err := consul.Parse(params)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	plan.Watcher = reporting(ctx, plan.Watcher, onAnswer, onOutage)
	plan.HybridHandler = func(consul.BlockingParamVal, any) {} // a plan needs one; it does not get each changed answer
	done := make(chan error, 1)
	go func() { done <- plan.RunWithClientAndHclog(client, hclog.NewNullLogger()) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		plan.Stop()
		return <-done
	}
}

// outage is what the plan gets instead of an error, because a plan's pause after an error is longer.
type outage struct{}

// reporting returns a query that reports what it is answered, and does not fail: after an error it pauses, and answers with an
// outage. It compares the answers, not their indexes: what was deleted by a prefix that includes the watched one leaves the index
// as it is.
func reporting(ctx context.Context, query consul.WatcherFunc, onAnswer func(uint64, any),
	onOutage func(error)) consul.WatcherFunc {
	failures, known := 0, false
	var last any // reported; it counts while known is set
	return func(p *consul.Plan) (consul.BlockingParamVal, any, error) {
		val, answer, err := call(query, p)
		if err == nil {
			if failures > 0 {
				onOutage(nil)
			}
			failures = 0
			if index, _ := val.(consul.WaitIndexVal); ctx.Err() == nil && !(known && reflect.DeepEqual(last, answer)) {
				last, known = answer, true
				onAnswer(uint64(index), answer)
			}
			return val, answer, nil
		}
		if failures == 0 && ctx.Err() == nil {
			onOutage(err)
		}
		known = false
		failures++
		Sleep(ctx, backoff(failures))
		return consul.WaitIndexVal(0), outage{}, nil // index 0: the next query does not block
	}
}

// call queries once. A plan that is stopped before its first query panics, because it calls a cancel function that is not set
// yet: call returns an error then. Any other panic is passed on.
// Source: https://github.com/hashicorp/consul/issues/19020
func call(query consul.WatcherFunc, p *consul.Plan) (val consul.BlockingParamVal, answer any, err error) {
	defer func() {
		if r := recover(); r != nil {
			if !p.IsStopped() {
				panic(r)
			}
			err = errors.New("stopped")
		}
	}()
	return query(p)
}

// backoff returns the pause after so many failures in a row, from 1.
func backoff(failures int) time.Duration {
	return min(retryMax, retryMin<<min(failures-1, 10))
}

// Log returns an onOutage callback that logs the beginning and the end of each outage. name says what is watched.
func Log(log *slog.Logger, name string) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("consul watch failed; using the last known state until it recovers",
				"event", "consul_watch_failed", "watch", name, "err", err)
			return
		}
		log.Info("consul watch recovered", "event", "consul_watch_recovered", "watch", name)
	}
}
