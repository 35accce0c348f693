package takeover

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

// CatalogDemotion turns the catalogue's other master entries into replica entries, in the transaction that publishes the new
// master. The entries are read while the takeover runs, so that clients find the new master one call earlier.
type CatalogDemotion struct {
	Applied bool // every entry that was read is a replica entry now

	readOps func(context.Context) (api.TxnOps, error)
	found   chan api.TxnOps // nil: they could not be read
}

// NewCatalogDemotion returns a demotion that gets its operations from readOps, which has to honour its context.
func NewCatalogDemotion(readOps func(context.Context) (api.TxnOps, error)) *CatalogDemotion {
	return &CatalogDemotion{readOps: readOps, found: make(chan api.TxnOps, 1)}
}

func (d *CatalogDemotion) read(ctx context.Context) {
	if d == nil {
		return
	}
	ops, err := d.readOps(ctx)
	if err == nil && ops == nil {
		ops = api.TxnOps{}
	}
	d.found <- ops
}

// demotionReadTimeout bounds how much longer the operations are waited for: they have been read since the takeover began.
const demotionReadTimeout = 10 * time.Millisecond

// ops returns the operations, and whether they are known.
func (d *CatalogDemotion) ops(ctx context.Context) (ops api.TxnOps, known bool) {
	if d == nil {
		return nil, false
	}
	select {
	case ops = <-d.found:
	case <-ctx.Done():
	case <-time.After(demotionReadTimeout):
	}
	return ops, ops != nil
}
