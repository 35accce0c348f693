package watch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
)

// After an outage, and after an index that went back, the next query does not block.
func TestQuery_Indexes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	answers := []uint64{7, 9, 3, 4, 0, 5} // 0: an error
	var asked []uint64
	var outages []bool
	Query(ctx, 0, func(opt *api.QueryOptions) (*api.QueryMeta, error) {
		asked = append(asked, opt.WaitIndex)
		now := answers[len(asked)-1]
		if len(asked) == len(answers) {
			defer stop()
		}
		if now == 0 {
			return nil, errors.New("no leader")
		}
		return &api.QueryMeta{LastIndex: now}, nil
	}, func(err error) { outages = append(outages, err != nil) })
	if d := cmp.Diff([]uint64{0, 7, 9, 0, 4, 0}, asked); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]bool{true}, outages); d != "" { // the query that ended with the context tells nobody
		t.Error(d)
	}
}

// A burst of changes costs one call, and one more after the rest.
func TestQuery_Rest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 1900*time.Millisecond)
		defer stop()
		calls := 0
		Query(ctx, 500*time.Millisecond, func(*api.QueryOptions) (*api.QueryMeta, error) {
			calls++
			return &api.QueryMeta{LastIndex: uint64(calls)}, nil
		}, func(err error) { t.Error(err) })
		if calls != 4 {
			t.Errorf("%d calls in 1.9 s", calls)
		}
	})
}
