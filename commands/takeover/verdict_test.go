package takeover

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

var (
	errRefused     = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	errTimeout     = fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	errLoadingData = redis.ErrLoading // the server is alive and will answer soon
	errDenied      = redis.ErrTooOld  // the server answers, and not with what was asked for
)

func TestOldMasterVerdict(t *testing.T) {
	own := redis.Status{RunID: "run-me", MasterAddr: "old:1", LinkUp: true, Position: redis.Position{ReplID: "aaaa", Offset: 100}}
	at := func(id string, offset int64) redis.Position { return redis.Position{ReplID: id, Offset: offset} }
	master := redis.Status{RunID: "run-old", Master: true, Position: at("aaaa", 120)}
	behind := redis.Status{RunID: "run-old", Master: true, Position: at("aaaa", 80)}
	unrelated := redis.Status{RunID: "run-old", Master: true, Position: at("zzzz", 120)}
	unknown := redis.Status{RunID: "run-x", Master: true, Position: at("zzzz", 1)}
	restarted := redis.Status{RunID: "run-x", Master: true, Position: at("aaaa", 120)}
	replica := redis.Status{RunID: "run-old", MasterAddr: "c:1", Position: at("zzzz", 1)}
	listed := func(f *oldMasterFacts) { f.listedOnly = true }
	forced := func(f *oldMasterFacts) { f.forced = true }
	unnamed := func(f *oldMasterFacts) { f.unnamed = true }
	passing := func(f *oldMasterFacts) { f.checkPassing = true }
	received := func(f *oldMasterFacts) { f.received = true }
	switchover := func(f *oldMasterFacts) { f.switchover = true }
	guardOff := func(f *oldMasterFacts) { f.old.Guard = cluster.GuardOff }
	instance := func(f *oldMasterFacts) { f.old.RunID = anyInstance }
	why := func(why string) func(*oldMasterFacts) { return func(f *oldMasterFacts) { f.view.State.Why = why } }
	alive := func(f *oldMasterFacts) { f.view.LiveAgents = map[string]cluster.MemberKey{"old": {Session: "old's"}} }
	elsewhere := func(f *oldMasterFacts) { f.old.Node = "another" }
	us := func(f *oldMasterFacts) { f.old.Node, f.old.Address = f.me.Node, f.me.Address }
	ours := func(f *oldMasterFacts) { f.old.ID = f.me.ID }
	peer := func(f *oldMasterFacts) {
		f.view.LiveAgents = map[string]cluster.MemberKey{"c": {Session: "c's", RunID: "run-x"}}
	}
	self := redis.Status{RunID: "run-me", Master: true}
	for _, tt := range []struct {
		name string
		st   redis.Status
		err  error
		is   []func(*oldMasterFacts)
		want verdict
	}{
		{"our own redis answers", redis.Status{RunID: "run-me", Master: true}, nil, nil, oldIsSelf},
		{"our own redis, and the old master was on another node", self, nil, []func(*oldMasterFacts){elsewhere}, oldIsUnreachable},
		{"the same during a switchover", self, nil, []func(*oldMasterFacts){elsewhere, switchover}, oldAgentIsAlive},
		{"our own redis, and the old master was at this place", self, nil, []func(*oldMasterFacts){us}, oldIsSelf},
		{"our own redis, and the old master was this member", self, nil, []func(*oldMasterFacts){elsewhere, ours}, oldIsSelf},
		{"another member's redis", restarted, nil, []func(*oldMasterFacts){peer}, oldIsUnreachable},
		{"the published master", master, nil, nil, oldServes},
		{"a master whose run_id is not known", unknown, nil, []func(*oldMasterFacts){instance}, oldServes},
		{"a replica", replica, nil, nil, oldIsPeer},
		{"a replica that only the catalogue calls a master", replica, nil, []func(*oldMasterFacts){listed}, oldIsPeer},
		{"the catalogue's master, ahead of us", master, nil, []func(*oldMasterFacts){listed}, oldServes},
		{"the catalogue's master, behind us", behind, nil, []func(*oldMasterFacts){listed}, oldServes},
		{"the catalogue's master, unrelated", unrelated, nil, []func(*oldMasterFacts){listed}, oldIsUnrelated},
		{"the catalogue's master, unrelated, by force", unrelated, nil, []func(*oldMasterFacts){listed, forced}, oldServes},
		{"a master that nothing names", unknown, nil, []func(*oldMasterFacts){instance, unnamed}, oldIsUnnamed},
		{"a replica that nothing names", replica, nil, []func(*oldMasterFacts){instance, unnamed}, oldIsUnnamed},
		{"a master that nothing names, by force", unknown, nil, []func(*oldMasterFacts){instance, unnamed, forced}, oldServes},
		{"one that nothing names is down", redis.Status{}, errRefused, []func(*oldMasterFacts){instance, unnamed}, oldIsDown},
		{"the state's master, unrelated", unrelated, nil, nil, oldServes},
		{"another instance", unknown, nil, nil, oldIsPeer},
		{"an unknown master, and clients are sent to it", unknown, nil, []func(*oldMasterFacts){passing}, oldIsImpostor},
		{"a restarted member with the cluster's data", restarted, nil, []func(*oldMasterFacts){passing}, oldIsPeer},
		{"it refuses", redis.Status{}, errRefused, nil, oldIsDown},
		{"it refuses, an operator wants a switchover", redis.Status{}, errRefused, []func(*oldMasterFacts){switchover},
			oldIsDown},
		{"it is unreachable", redis.Status{}, errTimeout, nil, oldIsUnreachable},
		{"unreachable during a switchover", redis.Status{}, errTimeout, []func(*oldMasterFacts){switchover}, oldAgentIsAlive},
		{"unreachable, its agent is leaving and alive", redis.Status{}, errTimeout,
			[]func(*oldMasterFacts){why(cluster.WhyLeaving), alive}, oldAgentIsAlive},
		{"unreachable, its agent was leaving and is dead", redis.Status{}, errTimeout,
			[]func(*oldMasterFacts){why(cluster.WhyLeaving)}, oldIsUnreachable},
		{"unreachable, its agent is alive and gave it up", redis.Status{}, errTimeout,
			[]func(*oldMasterFacts){why(cluster.WhyUnhealthy), alive}, oldIsUnreachable},
		{"this host could not ask it", redis.Status{}, syscall.EMFILE, nil, oldNotAsked},
		{"the same, by force", redis.Status{}, syscall.EMFILE, []func(*oldMasterFacts){forced}, oldNotAsked},
		{"this host has no route to it", redis.Status{}, syscall.ENETUNREACH, nil, oldIsUnreachable},
		{"it is loading", redis.Status{}, errLoadingData, nil, oldDeniesAccess},
		{"it is loading, by force", redis.Status{}, errLoadingData, []func(*oldMasterFacts){forced}, oldDeniesAccess},
		{"it denies access", redis.Status{}, errDenied, nil, oldIsUnreachable},
		{"it denies access while we receive its stream", redis.Status{}, errDenied, []func(*oldMasterFacts){received},
			oldDeniesAccess},
		{"the same, by force", redis.Status{}, errDenied, []func(*oldMasterFacts){received, forced}, oldIsUnreachable},
		{"the same, reported dead", redis.Status{}, errDenied, []func(*oldMasterFacts){received, why(cluster.WhyDead)},
			oldIsUnreachable},
		{"it denies access with GUARD=off", redis.Status{}, errDenied, []func(*oldMasterFacts){guardOff}, oldDeniesAccess},
		{"the same with GUARD=off, by force", redis.Status{}, errDenied, []func(*oldMasterFacts){guardOff, forced},
			oldIsUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := cluster.Master{Peer: handlers.Peer{ID: "old", Address: "old:1", RunID: "run-old"}, Guard: 1}
			f := oldMasterFacts{old: &old, me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: "me:1"}, Node: "here"}}
			f.view.State = cluster.State{Master: &old, Histories: []string{"aaaa"}}
			for _, change := range tt.is {
				change(&f)
			}
			if got := f.oldMasterVerdict(own, tt.st, tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestOldMasterOf(t *testing.T) {
	published := &cluster.Master{Peer: handlers.Peer{ID: "p", Address: "p:1", RunID: "run-p"}}
	handled := &cluster.Master{Peer: handlers.Peer{ID: "p", Address: "p:1"}}
	listed := &cluster.Master{Peer: handlers.Peer{ID: "l", Address: "l:1", RunID: "run-l"}}
	replica := redis.Status{RunID: "run-me", MasterAddr: "m:1"}
	parked := redis.Status{RunID: "run-me", MasterAddr: redis.Sink}
	for _, tt := range []struct {
		name              string
		published, listed *cluster.Master
		own               redis.Status
		addr, run         string // of the old master; empty: there is none
		listedOnly        bool
	}{
		{"the published one", published, listed, replica, "p:1", "run-p", false},
		{"published without a run_id", handled, nil, replica, "p:1", anyInstance, false},
		{"the one that our redis follows", nil, listed, replica, "m:1", anyInstance, false},
		{"the catalogue's, if our redis is parked", nil, listed, parked, "l:1", "run-l", true},
		{"the catalogue's, if our redis is a master", nil, listed, redis.Status{RunID: "run-me", Master: true}, "l:1", "run-l",
			true},
		{"none", nil, nil, parked, "", "", false},
		{"our own redis", published, nil, redis.Status{RunID: "run-p", Master: true}, "", "", false},
		{"our own redis, listed", nil, listed, redis.Status{RunID: "run-l", Master: true}, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, listedOnly := oldMasterOf(tt.published, tt.listed, tt.own)
			if old == nil {
				old = &cluster.Master{}
			}
			if old.Address != tt.addr || old.RunID != tt.run || listedOnly != tt.listedOnly {
				t.Errorf("got %s %s, only listed: %t", old.Address, old.RunID, listedOnly)
			}
		})
	}
	if handled.RunID != "" {
		t.Error("the published master was changed")
	}
}

func TestFirstProbeTimeout(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{ID: "old", RunID: "run-old"}}
	for _, tt := range []struct {
		why, unresponsive string
		want              time.Duration
	}{
		{"", "", time.Second},
		{"", "run-other", time.Second},
		{"", "run-old", peerTimeout},
		{cluster.WhyDead, "run-old", reportedDownTimeout},
		{cluster.WhyFrozen, "", KnownDeadTimeout},
		{cluster.WhyUnhealthy, "", time.Second},
	} {
		if got := firstProbeTimeout(cluster.State{Master: m, Why: tt.why}, m, tt.unresponsive, time.Second); got != tt.want {
			t.Errorf("%q, %q: got %s, want %s", tt.why, tt.unresponsive, got, tt.want)
		}
	}
}

func TestMayBeServing(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{ID: "old", RunID: "run-old"}}
	for _, tt := range []struct {
		name         string
		s            cluster.State
		own, unresp  string
		forced, want bool
	}{
		{"it may", cluster.State{Master: m}, "run-me", "", false, true},
		{"no master is published", cluster.State{}, "run-me", "", false, false},
		{"it is our redis", cluster.State{Master: m}, "run-old", "", false, false},
		{"by force", cluster.State{Master: m}, "run-me", "", true, false},
		{"its agent has reported it", cluster.State{Master: m, Why: cluster.WhyDead}, "run-me", "", false, false},
		{"it is known not to answer", cluster.State{Master: m}, "run-me", "run-old", false, false},
		{"another run is known not to answer", cluster.State{Master: m}, "run-me", "run-x", false, true},
	} {
		if got := mayBeServing(tt.s, tt.own, tt.unresp, tt.forced); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestDeniesAccess(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{{nil, false}, {errTimeout, false}, {errRefused, false}, {errLoadingData, false}, {errDenied, true},
		{fmt.Errorf("info: %w", io.EOF), true}} {
		if got := deniesAccess(tt.err); got != tt.want {
			t.Errorf("%v: got %t", tt.err, got)
		}
	}
}
