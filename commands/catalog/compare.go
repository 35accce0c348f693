package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/observable"
	"resec/commands/pace"
)

// What a Consul agent has been given reaches its servers once. It does not look at its servers again for minutes. Meanwhile
// something else may write the entry there: another program with `PUT /v1/catalog/register`, or the restoration of a snapshot. So
// a goroutine of Run compares what the servers show with what was published, twice in an interval, and corrects it there.

// published is what Run has published, as the comparing goroutine sees it.
type published struct {
	mu    sync.Mutex
	entry *Entry // nil: nothing, or the last attempt failed
	since time.Time
	now   chan struct{} // made when it is first used
}

func (p *published) set(e *Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if same := p.entry != nil && e != nil && p.entry.equal(*e); !same {
		p.entry, p.since = e, time.Now()
	}
}

// begin says that another entry is about to be published. Until then nothing is compared: Consul's servers may have either.
func (p *published) begin(e Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry != nil && !p.entry.equal(e) {
		p.entry, p.since = nil, time.Now()
	}
}

// settled returns what has been published, unchanged for compareSettle; nil: nothing.
func (p *published) settled() *Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.since) < compareSettle {
		return nil
	}
	return p.entry
}

func (p *published) asked() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil {
		p.now = make(chan struct{}, 1)
	}
	return p.now
}

// Compare makes Run compare the entry with what Consul's servers show, at once. It does not block.
func (r *Registrar) Compare() { observable.Signal(r.published.asked()) }

// keepListed compares until the context ends. Without the node's name it returns at once.
func (r *Registrar) keepListed(ctx context.Context) {
	if r.Node == "" {
		return
	}
	var c comparison
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.published.asked():
			r.compareOnce(ctx, &c, 0)
		case <-time.After(r.Interval / 2):
			r.compareOnce(ctx, &c, compareAgain)
		}
	}
}

// compareOnce compares, and corrects a difference that is there when it looks again after the pause. An error of Consul ends it:
// the next comparison follows, and the registration reports an outage.
func (r *Registrar) compareOnce(ctx context.Context, c *comparison, pause time.Duration) {
	e := r.published.settled()
	if e == nil {
		return
	}
	if r.looksRight(ctx, *e) {
		c.stale = 0
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(pause):
	}
	if e = r.published.settled(); e == nil {
		return
	}
	l, err := r.readListing(ctx, r.nodeOf(*e))
	if err != nil || r.published.settled() != e { // or Run has begun to publish another entry
		return
	}
	diff := r.Naming.difference(l, *e, r.hostOf(*e), r.Port)
	if diff == "" {
		return
	}
	if e.Role == Master && r.Confirm != nil && r.Confirm(ctx, *e) != nil {
		return // another member is the master, and its agent has changed our entry
	}
	err = r.correct(ctx, l, *e)
	if errors.Is(err, errNotCorrected) && strings.Contains(err.Error(), "index is stale") {
		if c.stale++; l.service != nil || c.stale < hiddenAfter {
			return // the entry has changed since
		}
	}
	r.logCorrection(ctx, c, diff, err)
}

// looksRight makes the one call that is enough if nothing is wrong. It also returns true if Consul does not answer.
func (r *Registrar) looksRight(ctx context.Context, e Entry) bool {
	ctx, cancel := context.WithTimeout(ctx, pace.Timeout(ctx))
	defer cancel()
	q := &api.QueryOptions{Filter: fmt.Sprintf("Service.ID == %q", r.ID)}
	found, _, err := r.Client.Health().Service(r.Naming.Name(e.Role), "", false, q.WithContext(ctx))
	if err != nil {
		return true
	}
	for _, entry := range found {
		if entry.Node.Node != r.nodeOf(e) {
			continue
		}
		l := listing{service: entry.Service, check: checkOf(entry.Checks, r.CheckID())}
		return r.Naming.difference(l, e, r.hostOf(e), r.Port) == ""
	}
	return false
}

func checkOf(checks api.HealthChecks, id string) *api.HealthCheck {
	for _, c := range checks {
		if c.CheckID == id {
			return c
		}
	}
	return nil
}

// readListing reads the instance and its check from Consul's servers, whatever the service's name is there.
func (r *Registrar) readListing(ctx context.Context, node string) (l listing, err error) {
	ctx, cancel := context.WithTimeout(ctx, pace.Calls(ctx, 2))
	defer cancel()
	q := &api.QueryOptions{Filter: fmt.Sprintf("ID == %q", r.ID), RequireConsistent: true}
	services, _, err := r.Client.Catalog().NodeServiceList(node, q.WithContext(ctx))
	if err != nil {
		return l, fmt.Errorf("read the services of node %s: %w", node, err)
	}
	if services != nil {
		for _, s := range services.Services {
			if s.ID == r.ID {
				l.service, l.serviceIndex = s, s.ModifyIndex
			}
		}
	}
	q = &api.QueryOptions{Filter: fmt.Sprintf("ServiceID == %q", r.ID), RequireConsistent: true}
	checks, _, err := r.Client.Health().Node(node, q.WithContext(ctx))
	if err != nil {
		return l, fmt.Errorf("read the checks of node %s: %w", node, err)
	}
	if l.check = checkOf(checks, r.CheckID()); l.check != nil {
		l.checkIndex = l.check.ModifyIndex
	}
	return l, nil
}

// correct writes the instance and its check to Consul's servers, as they are registered with the Consul agent. It is a
// compare-and-set on what was read: Run may be publishing something else by now. The end of the context does not cut it short:
// Consul might carry it out after the deregistration that follows.
func (r *Registrar) correct(ctx context.Context, l listing, e Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pace.CallTimeout)
	defer cancel()
	service := api.AgentService{ID: r.ID, Service: r.Naming.Name(e.Role), Tags: r.Naming.Tags(e.Role),
		Address: r.hostOf(e), Port: r.Port, Meta: e.Meta, Weights: api.AgentWeights{Passing: 1, Warning: 1},
		ModifyIndex: l.serviceIndex}
	check := api.HealthCheck{Node: r.nodeOf(e), CheckID: r.CheckID(), Name: checkName, Status: e.Status, Output: e.Output,
		Type: "ttl", ServiceID: r.ID, ServiceName: service.Service, ModifyIndex: l.checkIndex}
	ops := api.TxnOps{{Service: &api.ServiceTxnOp{Verb: api.ServiceCAS, Node: r.nodeOf(e), Service: service}},
		{Check: &api.CheckTxnOp{Verb: api.CheckCAS, Check: check}}}
	ok, res, _, err := r.Client.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil || ok {
		return err
	}
	var texts []string
	for _, e := range res.Errors {
		texts = append(texts, e.What)
	}
	return fmt.Errorf("%w: %s", errNotCorrected, strings.Join(texts, "; "))
}

var errNotCorrected = errors.New("consul rejects the correction")

// logCorrection logs a correction, or why it failed. The registration reports an outage.
func (r *Registrar) logCorrection(ctx context.Context, c *comparison, diff string, err error) {
	outage := err != nil && !errors.Is(err, errNotCorrected) && !isStatus(err, http.StatusForbidden)
	text := diff
	if err != nil {
		text += ": " + err.Error()
	}
	if ctx.Err() != nil || outage || !c.worthALine(text, time.Now()) {
		return
	}
	if err != nil {
		r.Log.Warn("consul's servers do not show this member as it is registered, and the entry cannot be corrected, retrying",
			"event", "entry_not_corrected", "id", r.ID, "difference", diff, "err", err)
		return
	}
	r.Log.Warn("consul's servers did not show this member as it is registered; the entry is corrected",
		"event", "entry_corrected", "id", r.ID, "difference", diff)
}
