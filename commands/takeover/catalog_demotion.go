package takeover

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

// CatalogDemotion turns the catalogue's master entries of others into replicas' in the transaction that publishes us. They are read
// while that is under way: a call less between the first write that we accept and the time when clients find us.
type CatalogDemotion struct {
	Applied bool // nothing that was read is a master's any more

	look  func(context.Context) (api.TxnOps, error)
	found chan api.TxnOps // nil, where they could not be read
}

// NewCatalogDemotion is one of what look finds.
func NewCatalogDemotion(look func(context.Context) (api.TxnOps, error)) *CatalogDemotion {
	return &CatalogDemotion{look: look, found: make(chan api.TxnOps, 1)}
}

func (d *CatalogDemotion) read(ctx context.Context) {
	if d == nil {
		return
	}
	ops, err := d.look(ctx)
	if err == nil && ops == nil {
		ops = api.TxnOps{}
	}
	d.found <- ops
}

// demotionReadTimeout is how much longer the reading is waited for: it began several calls ago.
const demotionReadTimeout = 10 * time.Millisecond

// ops are what was found; nothing, where that is not known yet.
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
