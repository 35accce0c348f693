package watch

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

// Query runs a blocking query again and again until the context ends: one for which there is no watch of `consul watch`. The
// query is called with the options of one call; it takes the answer. After each answer Query waits for rest, so that a burst of
// changes within that time costs two calls. What begins and ends within it is not seen. The callback onOutage is that of Run.
// Source: https://developer.hashicorp.com/consul/api-docs/features/blocking
func Query(ctx context.Context, rest time.Duration, query func(*api.QueryOptions) (*api.QueryMeta, error), onOutage func(error)) {
	var index uint64
	for failures := 0; ctx.Err() == nil; {
		meta, err := query((&api.QueryOptions{WaitIndex: index}).WithContext(ctx))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if failures > 0 {
				onOutage(nil)
			}
			failures, index = 0, nextIndex(index, meta.LastIndex)
			Sleep(ctx, rest)
			continue
		}
		if failures == 0 {
			onOutage(err)
		}
		failures++
		index = 0 // after an outage the query does not block
		Sleep(ctx, backoff(failures))
	}
}

// Sleep reports whether d has passed. It is false if the context ended before.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// nextIndex returns the index to wait for. An index that went back is of other data: then the next query does not block.
func nextIndex(last, now uint64) uint64 {
	if now < last {
		return 0
	}
	return max(now, 1)
}
