package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/report"
	"resec/commands/survey"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

// reportTimeout bounds the probe of our own Redis for a report.
const reportTimeout = 2 * time.Second

// notReady is reported before our Redis was opened, and after the agent has stopped.
const notReady = "the agent is not ready: it is starting, or has stopped"

// Report probes our Redis. If behind is asked for and our Redis is not the master, it also probes the master. It may be called at
// any time.
func (a *Agent) Report(ctx context.Context, behind bool) report.Report {
	a.reports.RLock()
	defer a.reports.RUnlock()
	if !a.ready.Load() {
		return report.Report{Why: notReady}
	}
	ctx, cancel := context.WithTimeout(ctx, min(reportTimeout, a.Probe.Timeout))
	defer cancel()
	var master *redis.Status
	var probing sync.WaitGroup
	if s := a.known.Load().View.State; behind && s.Master != nil && s.Master.ID != a.Me.ID {
		probing.Go(func() { master = a.probeMaster(ctx, s) })
	}
	own, err := a.local.Status(ctx)
	probing.Wait()
	k := a.known.Load() // after the probes: what was lost meanwhile is lost
	if h := k.Health; err != nil && (redis.Replied(err) || redis.LocalFault(err)) && h.Err == nil && h.Status.RunID != "" {
		own, err = h.Status, nil // it is busy, denies access, or could not be asked: its last known status counts
	}
	r := report.New(k, a.Me.ID, own, err, master, time.Now())
	r.Leaving = a.shutdown.requested()
	return r
}

// probeMaster asks the published master; nil: it does not answer.
func (a *Agent) probeMaster(ctx context.Context, s cluster.State) *redis.Status {
	timeout := survey.ProbeTimeout
	if s.MasterReportedGone(s.Master.ID) {
		timeout = takeover.KnownDeadTimeout
	}
	st, err := a.surveyor.Probe(ctx, s.Master.Address, timeout)
	if err != nil {
		return nil
	}
	return &st
}

// dumpOnSignal logs the agent's state with each signal, whatever the log level is.
func (a *Agent) dumpOnSignal(ctx context.Context, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-a.DumpState:
		}
		r := slog.NewRecord(time.Now(), slog.LevelInfo, "state", 0)
		r.Add("event", "state", "id", a.Me.ID, "redis", a.Creds.Addr)
		r.Add(report.StateAttrs(a.known.Load(), a.Me.ID, a.masterService(), a.announcer.Advertised.Load(), time.Now())...)
		r.Add("hooks_failed", strings.Join(a.hooks.Failures(), "; "))
		if err := a.Log.Handler().Handle(ctx, r); err != nil {
			a.Log.Error("cannot log the state", "event", "state_dump_failed", "err", err)
		}
	}
}
