package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// known is what "me" knows of a cluster in which "a" was the master.
func known(change ...func(*cluster.Snapshot)) cluster.Snapshot {
	k := cluster.Snapshot{Observation: cluster.Observation{Fresh: true, Probed: true, View: cluster.View{Index: 1,
		State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "127.0.0.1:2", Term: 1}},
			Members: map[string]cluster.MemberRecord{"a": {RunID: "run-a", Address: "127.0.0.1:2", InSyncTerm: 1},
				"me": {RunID: "run-me", Address: "127.0.0.1:3", InSyncTerm: 1},
				"b":  {RunID: "run-b", Address: "127.0.0.1:4", InSyncTerm: 1}}},
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-b", Address: "127.0.0.1:4"}}},
		Health: redis.Health{Status: redis.Status{RunID: "run-me", MasterAddr: "127.0.0.1:2"}}}}
	for _, f := range change {
		f(&k)
	}
	return k
}

// The members that did not answer are waited for only if they may hold newer data.
func TestResult_Add(t *testing.T) {
	refused, slow := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	rejected := cluster.Member{ID: "a", Address: "127.0.0.1:2", Check: api.HealthPassing}
	for _, tt := range []struct {
		name       string
		m          cluster.Member
		err        error
		v          cluster.View
		candidate  bool
		unanswered bool
	}{
		{"it answers", cluster.Member{ID: "b"}, nil, known().View, true, false},
		{"a slow one whose agent is alive", cluster.Member{ID: "b"}, slow, known().View, false, true},
		{"one to which this host has no route", cluster.Member{ID: "b"}, syscall.ENETUNREACH, known().View, false, true},
		{"one whose agent is dead", cluster.Member{ID: "a"}, slow, known().View, false, false},
		{"one that is down", cluster.Member{ID: "b"}, refused, known().View, false, false},
		{"another instance", cluster.Member{ID: "b"}, cluster.ErrOtherInstance, known().View, false, false},
		{"a master that may be rejected by the network", rejected, refused, known().View, false, true},
		{"a master whose agent reported its failure", rejected, refused,
			known(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyDead }).View, false, false},
	} {
		var r Result
		r.add(tt.v, Answer{Member: tt.m, Err: tt.err})
		if len(r.Answers) != 1 || (len(r.Candidates) == 1) != tt.candidate || slices.Contains(r.Unanswered, tt.m.ID) != tt.unanswered {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
	denies := Answer{Member: cluster.Member{ID: "x:7000", Address: "x:7000", Unnamed: true}, Err: redis.ErrTooOld}
	for err, answers := range map[error]bool{nil: true, redis.ErrTooOld: true, redis.ErrLoading: true, slow: false, refused: false} {
		denies.Err = err
		var r Result
		r.add(known().View, denies)
		if (r.Unnamed == "x:7000") != answers || len(r.Candidates) != 0 {
			t.Errorf("a server that nothing names, %v: %+v", err, r)
		}
	}
	var r Result
	r.addOwn(cluster.Snapshot{}, Answer{Member: cluster.Member{ID: "me"}, Err: slow})
	if len(r.Candidates) != 0 || len(r.Answers) != 1 {
		t.Errorf("our redis does not answer: %+v", r)
	}
	r.addOwn(cluster.Snapshot{}, Answer{Member: cluster.Member{ID: "me"}})
	if len(r.Candidates) != 1 || !r.Candidates[0].AgentAlive || !r.Candidates[0].InCatalog {
		t.Errorf("our redis answers: %+v", r)
	}
}

// A master that a live agent lists, and that is not under this lock, is noticed until a master is published here.
func TestSurveyor_MasterElsewhere(t *testing.T) {
	s := &Surveyor{ID: "me", Naming: catalog.Naming{Prefix: "redis"}}
	listed := func(id, service, status string) (e handlers.Entry) {
		e.Service.Service, e.Service.Meta = service, map[string]string{"id": id}
		e.Checks = []handlers.Check{{Status: status}}
		return e
	}
	under := cluster.View{LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's"}, "dead": {}}}
	for _, tt := range []struct {
		name  string
		view  cluster.View
		entry handlers.Entry
		want  string
	}{
		{"not under this lock", under, listed("c", "redis-master", "passing"), "c"},
		{"its session has ended", under, listed("dead", "redis-master", "warning"), "dead"},
		{"under this lock", under, listed("b", "redis-master", "passing"), ""},
		{"a replica", under, listed("c", "redis-slave", "passing"), ""},
		{"its agent is dead", under, listed("c", "redis-master", "critical"), ""},
		{"of another program", under, listed("", "redis-master", "passing"), ""},
		{"our own", under, listed("me", "redis-master", "passing"), ""},
		{"a master is published here", known().View, listed("c", "redis-master", "passing"), ""},
	} {
		if got := s.masterElsewhere(tt.view, []handlers.Entry{tt.entry}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The server that our Redis follows is asked, too, if no member has its address.
func TestSurveyor_KnownMembers(t *testing.T) {
	s := &Surveyor{ID: "me"}
	for _, tt := range []struct {
		name string
		k    cluster.Snapshot
		want []string
	}{
		{"a known master", known(), []string{"a", "b"}},
		{"another server", known(func(k *cluster.Snapshot) { k.Health.Status.MasterAddr = "10.0.0.7:1" }),
			[]string{"10.0.0.7:1", "a", "b"}},
		{"it is parked", known(func(k *cluster.Snapshot) { k.Health.Status.MasterAddr = redis.Sink }), []string{"a", "b"}},
		{"it is a master", known(func(k *cluster.Snapshot) { k.Health.Status.Master, k.Health.Status.MasterAddr = true, "10.0.0.7:1" }),
			[]string{"a", "b"}},
	} {
		var ids []string
		for _, m := range s.knownMembers(tt.k, nil) {
			ids = append(ids, m.ID)
		}
		if slices.Sort(ids); !slices.Equal(ids, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, ids, tt.want)
		}
	}
}

// surveyor asks for "me", with a catalogue that gives one answer.
func surveyor(t *testing.T, own redis.Status, catalogue http.HandlerFunc) *Surveyor {
	t.Helper()
	c := httptest.NewServer(catalogue)
	t.Cleanup(c.Close)
	client, err := api.NewClient(&api.Config{Address: c.URL})
	expect.OK(t, err)
	return &Surveyor{ID: "me", Lock: lock.Lock{Client: client}, Naming: catalog.Naming{Prefix: "redis"},
		Creds: redis.Options{Timeout: 10 * time.Second},
		Own:   func(context.Context) (redis.Status, error) { return own, nil }, Log: slog.New(slog.DiscardHandler)}
}

func empty(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }

// listing is a catalogue that has replicas of these ids, at an address where nothing listens.
func listing(ids ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var entries []api.ServiceEntry
		for i, id := range ids {
			s := &api.AgentService{ID: id, Service: "redis-slave", Address: "127.0.0.1", Port: 10 + i, Meta: catalog.Meta(id, 1, "")}
			entries = append(entries, api.ServiceEntry{Node: &api.Node{Node: "n", Address: "127.0.0.1"}, Service: s})
		}
		if !strings.Contains(r.URL.Path, "redis-slave") {
			entries = nil
		}
		_ = json.NewEncoder(w).Encode(entries)
	}
}

func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "no leader", http.StatusInternalServerError)
}

func TestSurveyor_Survey(t *testing.T) {
	r, err := lab.ForTest(t).StartRedis("b")
	expect.OK(t, err)
	runID, err := r.Info("run_id")
	expect.OK(t, err)
	own := known().Health.Status
	with := func(run string) cluster.Snapshot {
		return known(func(k *cluster.Snapshot) {
			k.View.State.Members["b"] = cluster.MemberRecord{RunID: run, Address: r.Addr, InSyncTerm: 1}
			k.View.LiveAgents["b"] = cluster.MemberKey{Session: "b's", RunID: run, Address: r.Addr}
		})
	}
	found, err := surveyor(t, own, empty).Survey(t.Context(), with(runID))
	expect.OK(t, err)
	if len(found.Candidates) != 2 || found.Candidates[0].ID != "me" || found.Candidates[1].ID != "b" ||
		found.Candidates[1].RunID != runID {
		t.Errorf("candidates are %+v", found.Candidates)
	}
	if len(found.Answers) != 3 || found.Answers[0].At.IsZero() || found.Answers[2].At.IsZero() {
		t.Errorf("answers are %+v", found.Answers)
	}
	found, err = surveyor(t, own, empty).Survey(t.Context(), with("run-b"))
	expect.OK(t, err)
	isOther := func(is Answer) bool { return is.Member.ID == "b" && errors.Is(is.Err, cluster.ErrOtherInstance) }
	if len(found.Candidates) != 1 || !slices.ContainsFunc(found.Answers, isOther) {
		t.Errorf("another instance at its address: %+v", found)
	}
	found, err = surveyor(t, own, listing("0", "z")).Survey(t.Context(), with(runID))
	expect.OK(t, err)
	if len(found.Answers) != 5 || len(found.Candidates) != 2 {
		t.Errorf("with members that the catalogue alone names: %+v", found)
	}
	if _, err := surveyor(t, own, broken).Survey(t.Context(), with(runID)); err == nil {
		t.Error("the catalogue cannot be read, and there is no error")
	}
	cause := errors.New("the lock has changed")
	ended, end := context.WithCancelCause(t.Context())
	end(cause)
	if _, err := surveyor(t, own, empty).Survey(ended, with(runID)); !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}

	reported := with(runID)
	reported.View.State.Why = cluster.WhyDead // then the catalogue is not needed
	found, err = surveyor(t, own, broken).Survey(t.Context(), reported)
	if err != nil || len(found.Candidates) != 2 {
		t.Errorf("without the catalogue: %+v, %v", found, err)
	}
	restarted := own
	restarted.RunID = "run-new"
	if _, err := surveyor(t, restarted, broken).Survey(t.Context(), reported); err == nil {
		t.Error("our redis was restarted, and the catalogue was not read")
	}
}

// A member that hangs is waited for for a short time, and one that is known to hang for a shorter one.
func TestSurveyor_ProbeIsBounded(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	defer hanging.Close()
	s := surveyor(t, redis.Status{}, empty)
	for _, d := range []time.Duration{10 * time.Second, 20 * time.Millisecond} {
		s.Creds.Timeout = d
		began := time.Now()
		if _, err := s.Probe(t.Context(), hanging.Addr().String(), 100*time.Millisecond); err == nil {
			t.Error("there is no error")
		}
		if took := time.Since(began); took < min(d, 100*time.Millisecond) || took > 5*time.Second {
			t.Errorf("with a timeout of %s it took %s", d, took)
		}
	}
	s.Creds.Timeout = 10 * time.Second
	dead := known(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyFrozen })
	began := time.Now()
	if is := s.probeMember(t.Context(), dead, cluster.Member{ID: "a", Address: hanging.Addr().String()}); is.Err == nil {
		t.Error("there is no error")
	}
	if took := time.Since(began); took >= ProbeTimeout {
		t.Errorf("one that is known to hang was waited for for %s", took)
	}
}

// A member that does not answer where the catalogue lists it is found at its other addresses, by its run alone.
func TestSurveyor_OtherAddresses(t *testing.T) {
	r, err := lab.ForTest(t).StartRedis("b")
	expect.OK(t, err)
	runID, err := r.Info("run_id")
	expect.OK(t, err)
	atKey := func(run, addr string) cluster.Snapshot {
		return known(func(k *cluster.Snapshot) {
			k.View.State.Members["b"] = cluster.MemberRecord{RunID: run, Address: addr, InSyncTerm: 1}
			k.View.LiveAgents["b"] = cluster.MemberKey{Session: "b's", RunID: run, Address: addr}
			k.View.State.Master.RunID = "run-of-another"
			k.View.State.Histories = nil
		})
	}
	gone := lab.Host() // nothing listens there
	// The member is registered with that host, and its node is the host of Redis.
	atNode := func(w http.ResponseWriter, q *http.Request) {
		entries := []api.ServiceEntry{}
		if strings.Contains(q.URL.Path, "redis-slave") {
			s := &api.AgentService{ID: "b", Service: "redis-slave", Address: gone, Port: 6379, Meta: catalog.Meta("b", 1, "")}
			entries = append(entries, api.ServiceEntry{Node: &api.Node{Node: "n", Address: r.Host}, Service: s})
		}
		_ = json.NewEncoder(w).Encode(entries)
	}
	for _, tt := range []struct {
		name      string
		catalogue http.HandlerFunc
		k         cluster.Snapshot
		want      bool
	}{
		{"where its agent says that it is", listing("b"), atKey(runID, r.Addr), true},
		{"another run answers there", listing("b"), atKey("run-b", r.Addr), false},
		{"at the address of its node", atNode, atKey(runID, gone+":6379"), true},
		{"another run answers at the address of its node", atNode, atKey("run-b", gone+":6379"), false},
	} {
		s := surveyor(t, known().Health.Status, tt.catalogue)
		found, err := s.Survey(t.Context(), tt.k)
		expect.OK(t, err)
		isB := func(c cluster.Candidate) bool { return c.ID == "b" }
		if got := slices.ContainsFunc(found.Candidates, isB); got != tt.want {
			t.Errorf("%s: found %t: %+v", tt.name, got, found.Answers)
		}
	}
}

// A member that is down at one address and silent at another may be alive.
func TestProbes_Answer(t *testing.T) {
	refused, slow := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	m := cluster.Member{ID: "b", Address: "listed:1", NodeAddress: "node:1"}
	at := func(addr string) cluster.Member { return cluster.Member{ID: "b", Address: addr} }
	v := known().View // its agent says that it is at 127.0.0.1:4
	answers := redis.Status{RunID: "run-b"}
	for _, tt := range []struct {
		name string
		p    probes
		want Answer
	}{
		{"it answers", probes{at("listed:1"): {Status: answers}}, Answer{Member: m, Status: answers}},
		{"it answers elsewhere", probes{at("listed:1"): {Err: refused}, at("127.0.0.1:4"): {Status: answers}},
			Answer{Member: at("127.0.0.1:4"), Status: answers}},
		{"it is silent elsewhere", probes{at("listed:1"): {Err: refused}, at("127.0.0.1:4"): {Err: slow}},
			Answer{Member: at("127.0.0.1:4"), Err: slow}},
		{"its node is silent", probes{at("listed:1"): {Err: refused}, at("127.0.0.1:4"): {Err: refused}, at("node:1"): {Err: slow}},
			Answer{Member: m, Err: refused}},
		{"it answers at its node", probes{at("listed:1"): {Err: refused}, at("127.0.0.1:4"): {Err: slow}, at("node:1"): {Status: answers}},
			Answer{Member: at("node:1"), Status: answers}},
		{"another run answers elsewhere", probes{at("listed:1"): {Err: refused}, at("127.0.0.1:4"): {Status: redis.Status{RunID: "x"}}},
			Answer{Member: m, Err: refused}},
	} {
		got := tt.p.answer(m, v)
		if got.Member.Address != tt.want.Member.Address || got.Status.RunID != tt.want.Status.RunID || got.Err != tt.want.Err {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
