package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// journal lists the commands that change something, in the order in which the fake servers received them.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func (j *journal) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.entries...)
}

// scene is a cluster of fakes in which the member "me" holds the lock.
type scene struct {
	t      *testing.T
	log    *journal
	consul *fakeConsul
	me     *fakeRedis
	other  map[string]*fakeRedis
	view   cluster.View
	lease  *lock.RenewalDeadline
	Takeover
}

var history = redis.Position{ReplID: "aaaa", Offset: 100}

// replicaOf is a replica that streams from the address and has all data.
func replicaOf(addr string) redis.Status {
	return redis.Status{MasterAddr: addr, LinkUp: true, Position: history, Keys: 1}
}

// newScene starts a published master "old", and the replicas "me" and "b", all recorded.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, log: &journal{}, other: map[string]*fakeRedis{}, lease: &lock.RenewalDeadline{}}
	var client *api.Client
	s.consul, client = startConsul(t, s.log)
	old := startRedis(t, s.log, "old", redis.Status{Master: true, Position: history, Keys: 1})
	s.other["old"] = old
	s.other["b"] = startRedis(t, s.log, "b", replicaOf(old.addr))
	s.me = startRedis(t, s.log, "me", replicaOf(old.addr))
	creds := redis.Options{Timeout: time.Second, Name: "resec:me"}
	own := creds
	own.Addr = s.me.addr
	server, err := redis.Open(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	state := cluster.State{
		Master: &cluster.Master{Peer: handlers.Peer{ID: "old", Address: old.addr, RunID: "run-old", Term: 4}, Guard: 1,
			MaxLag: 5},
		Members: map[string]cluster.MemberRecord{"old": {RunID: "run-old", Address: old.addr}, "b": {RunID: "run-b",
			Address: s.other["b"].addr},
			"me": {RunID: "run-me", Address: s.me.addr}},
		Histories: []string{"aaaa"}}
	s.view = cluster.View{State: state, Session: "mine", Holder: "me",
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-b", Address: s.other["b"].addr},
			"me": {Session: "mine"}}}
	s.lease.Extend(time.Now(), time.Minute)
	s.Takeover = Takeover{
		Lock: lock.Lock{Client: client, Key: lockKey, Member: "me"}, Session: &lock.Session{ID: "mine",
			Lease: lock.Lease{s.lease}},
		Log: slog.New(slog.DiscardHandler), Timeline: NewTimeline(),
		Self: Self{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: s.me.addr}}, Service: "redis-master",
			Redis: server, Creds: creds,
			Guard: cluster.GuardPolicy{MaxLag: 5}},
		Peers: Peers{KeepMembers: true, ConfirmEligible: func(context.Context, cluster.State) error { return nil },
			Recorded: []RecordedPeer{{ID: "b", Address: s.other["b"].addr, Session: "b's"}, {ID: "old", Address: old.addr}}},
	}
	return s
}

// leaseOver arranges that the lease of our session is over.
func leaseOver(s *scene) { s.Session.Lease = lock.Lease{&lock.RenewalDeadline{}} }

// start writes the scene's lock and state into Consul.
func (s *scene) start() {
	s.consul.put(lockKey, []byte("me"), "mine", lock.Flag)
	data, _ := json.Marshal(s.view.State)
	s.consul.put(lockKey+"/state", data, "", 0)
	s.view.LockIndex, s.view.StateIndex, s.view.Index = s.consul.index-1, s.consul.index, s.consul.index
}

// run runs the takeover, lets a frozen old master resume, and waits for all of it.
func (s *scene) run() (cluster.View, error) {
	s.t.Helper()
	s.start()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	done, err := s.Run(ctx, s.view)
	s.other["old"].set(func(f *fake) { f.frozen = false })
	done.Wait()
	return done.View, err
}

// steps are the names of the recorded steps.
func (s *scene) steps() (names []string) {
	for _, step := range s.Timeline.Steps() {
		names = append(names, step.Name)
	}
	return names
}

// errAny stands for an error of any kind in a table.
var errAny = errors.New("any")
